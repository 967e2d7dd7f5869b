use std::time::Duration;

use throughline_proto::jsonrpc::Raw;
use throughline_proto::stateless::{Binding, KeyRing, Rounds};

use crate::input::Input;

const NOW: u64 = 1_000_000;

/// The sealed state of input rounds: no bytes open that were not sealed, what was sealed opens as it was, for its request
/// alone, and nothing that was changed opens.
pub fn seal(data: &[u8]) {
    let mut input = Input::new(data);
    let at = input.number();
    let bit = input.below(8);
    let nonce = [input.byte(); 24];
    let questions: Vec<&[u8]> = (0..input.below(6)).map(|_| input.piece()).collect();
    let (key, value) = (String::from_utf8_lossy(input.piece()).into_owned(), input.piece());
    let rest = String::from_utf8_lossy(input.rest()).into_owned();

    let ring = KeyRing::new([7; 32]).with_older([8; 32]).with_ttl(Duration::from_secs(60));
    let arguments = Raw::from_json(rest.clone()).ok();
    let binding = Binding::new("tools/call", Some("t"), arguments.as_ref(), Some(b"ada"));
    let open = |state: &str, binding: &Binding, now| Rounds::open(None, state, binding, &ring, now);

    assert!(open(&rest, &binding, NOW).is_err(), "it was made up");
    let _ = Rounds::new(arguments.as_ref());

    let mut rounds = Rounds::new(None).expect("nothing came");
    let mut asked = 0;
    for question in &questions {
        // An empty key is none of its own.
        let named = Some(key.as_str()).filter(|key| asked % 2 == 0 && !key.is_empty() && key.len() <= 256);
        asked += usize::from(rounds.ask(named, question).is_ok());
    }
    let memo = Raw::new(&String::from_utf8_lossy(value)).expect("a text is JSON");
    let is_kept = rounds.remember(&key, memo.clone()).is_ok();
    rounds.set_handler_state(arguments.clone());
    let Ok(required) = rounds.input_required(&binding, &ring, nonce, NOW) else { return };
    assert_eq!(required.requests.len(), asked);
    let sealed = required.state;

    let opened = open(&sealed, &binding, NOW + 59).expect("it is ours");
    assert!(!opened.is_expired());
    assert_eq!(opened.memo(&key).map(Raw::as_str), is_kept.then_some(memo.as_str()));
    assert_eq!(opened.handler_state(), arguments.as_ref());
    let again = opened.input_required(&binding, &ring, nonce, NOW).expect("it fitted before");
    let reopened = open(&again.state, &binding, NOW).expect("it is ours");
    assert_eq!(reopened.memo(&key).map(Raw::as_str), is_kept.then_some(memo.as_str()));

    let late = open(&sealed, &binding, NOW + 60).expect("to be late is no error");
    assert!(late.is_expired() && late.memo(&key).is_none() && late.handler_state().is_none());

    for other in [
        Binding::new("prompts/get", Some("t"), arguments.as_ref(), Some(b"ada")),
        Binding::new("tools/call", Some("u"), arguments.as_ref(), Some(b"ada")),
        Binding::new("tools/call", Some("t"), arguments.as_ref(), Some(b"bob")),
        Binding::new("tools/call", Some("t"), arguments.as_ref(), None),
    ] {
        assert!(open(&sealed, &other, NOW).is_err(), "it belongs to another request");
    }
    let foreign = Rounds::open(None, &sealed, &binding, &KeyRing::new([9; 32]), NOW);
    assert!(foreign.is_err(), "another key opens nothing");

    let mut changed = sealed.to_string().into_bytes();
    let at = at % changed.len();
    changed[at] ^= 1 << bit;
    if let Ok(changed) = String::from_utf8(changed) {
        assert!(open(&changed, &binding, NOW).is_err(), "it was changed at {at}");
    }
    assert!(open(&sealed[..at], &binding, NOW).is_err(), "it was cut at {at}");
    assert!(
        open(&format!("{sealed}{rest}"), &binding, NOW).is_err() || rest.is_empty(),
        "it was made longer"
    );
}
