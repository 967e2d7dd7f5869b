use std::cell::Cell;
use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

const QUESTION: &[u8] = br#"{"method":"elicitation/create","params":{"message":"Delete?"}}"#;
const OTHER: &[u8] = br#"{"method":"elicitation/create","params":{"message":"Delete all?"}}"#;

fn keys() -> KeyRing {
    KeyRing::new([7; 32])
}

fn binding() -> Binding {
    Binding::new("tools/call", Some("delete"), None, Some(b"ada"))
}

fn raw(text: impl Into<String>) -> Raw {
    Raw::from_json(text.into()).unwrap()
}

fn first() -> Rounds {
    Rounds::new(None).unwrap()
}

/// The state of a round at second 10, and the keys that it asks for.
fn sealed(rounds: &Rounds) -> (String, Vec<String>) {
    let required = rounds.input_required(&binding(), &keys(), [0; 24], 10).unwrap();
    (required.state, required.requests.iter().map(|request| request.key.to_string()).collect())
}

/// The round that a retry with these responses opens, a second later.
fn retry(state: &str, responses: &str) -> Rounds {
    Rounds::open(Some(&raw(responses)), state, &binding(), &keys(), 11).unwrap()
}

fn answer(rounds: &Rounds, ask: AskNo) -> Option<&str> {
    rounds.answer(ask).map(Raw::as_str)
}

#[test]
fn a_question_is_asked_and_its_answer_found() {
    let mut rounds = first();
    assert!(!rounds.is_waiting());
    let ask = rounds.ask(None, QUESTION).unwrap();
    assert_eq!(rounds.answer(ask), None);
    assert!(rounds.is_waiting());
    let required = rounds.input_required(&binding(), &keys(), [0; 24], 10).unwrap();
    assert_eq!(required.requests, [InputRequest { ask, key: "1".into(), question: QUESTION.into() }]);

    let mut rounds = retry(&required.state, r#"{"1":{"action":"cancel"}}"#);
    let ask = rounds.ask(None, QUESTION).unwrap();
    assert_eq!(answer(&rounds, ask), Some(r#"{"action":"cancel"}"#));
    assert!(!rounds.is_waiting() && !rounds.is_expired());
    assert_eq!(rounds.answer(AskNo(1)), None);
    assert_eq!(rounds.answer(AskNo(u64::MAX)), None);
}

#[test]
fn half_of_the_answers_leaves_the_other_half_to_be_asked() {
    let mut rounds = first();
    for key in ["a", "b", "c"] {
        rounds.ask(Some(key), QUESTION).unwrap();
    }
    let (state, asked) = sealed(&rounds);
    assert_eq!(asked, ["a", "b", "c"]);

    let mut rounds = retry(&state, r#"{"b":{"n":1},"unknown":{"n":2}}"#);
    for key in ["a", "b", "c"] {
        rounds.ask(Some(key), QUESTION).unwrap();
    }
    let (state, asked) = sealed(&rounds);
    assert_eq!(asked, ["a", "c"]);

    // What was answered stays so, whatever is sent for it now.
    let mut rounds = retry(&state, r#"{"a":{"n":3},"b":{"n":4},"c":{"n":5}}"#);
    let asks = ["a", "b", "c"].map(|key| rounds.ask(Some(key), QUESTION).unwrap());
    assert_eq!(
        asks.map(|ask| answer(&rounds, ask)),
        [Some(r#"{"n":3}"#), Some(r#"{"n":1}"#), Some(r#"{"n":5}"#)]
    );
    assert!(!rounds.is_waiting());
}

#[test]
fn nothing_but_an_object_under_a_key_that_was_asked_is_an_answer() {
    let mut rounds = first();
    rounds.ask(Some("a"), QUESTION).unwrap();
    let (state, _) = sealed(&rounds);
    for responses in
        [r#"{}"#, r#"{"A":{}}"#, r#"{"a":12345}"#, r#"{"a":null}"#, r#"{"a":[{}]}"#, r#"{"a":"{}"}"#]
    {
        let mut rounds = retry(&state, responses);
        let ask = rounds.ask(Some("a"), QUESTION).unwrap();
        assert_eq!(answer(&rounds, ask), None, "{responses}");
        assert_eq!(sealed(&rounds).1, ["a"]);
    }
    // Without a state nothing was asked.
    let mut rounds = Rounds::new(Some(&raw(r#"{"a":{"n":1}}"#))).unwrap();
    let ask = rounds.ask(Some("a"), QUESTION).unwrap();
    assert_eq!(answer(&rounds, ask), None);
    assert_eq!(rounds.input_responses().get("a").map(Raw::as_str), Some(r#"{"n":1}"#));
    // Nor was what this run asks first, though its answer came along.
    let mut rounds = retry(&state, r#"{"a":{},"b":{}}"#);
    let ask = rounds.ask(Some("b"), QUESTION).unwrap();
    assert_eq!(answer(&rounds, ask), None);
}

#[test]
fn an_answer_is_to_its_question_alone() {
    let mut rounds = first();
    rounds.ask(Some("a"), QUESTION).unwrap();
    let (state, _) = sealed(&rounds);
    let mut rounds = retry(&state, r#"{"a":{}}"#);
    let ask = rounds.ask(Some("a"), OTHER).unwrap();
    assert_eq!(answer(&rounds, ask), None, "it was given to another question");
    let (state, asked) = sealed(&rounds);
    assert_eq!(asked, ["a"]);
    // The other question is what was asked now.
    let mut rounds = retry(&state, r#"{"a":{"n":2}}"#);
    let ask = rounds.ask(Some("a"), OTHER).unwrap();
    assert_eq!(answer(&rounds, ask), Some(r#"{"n":2}"#));
    // An answer kept for many rounds is held to the same.
    let (state, _) = sealed(&rounds);
    let mut rounds = retry(&state, "{}");
    let ask = rounds.ask(Some("a"), QUESTION).unwrap();
    assert_eq!(answer(&rounds, ask), None);
}

#[test]
fn a_rejected_answer_is_dropped_and_asked_again() {
    let mut rounds = first();
    rounds.ask(Some("a"), QUESTION).unwrap();
    let mut rounds = retry(&sealed(&rounds).0, r#"{"a":{"bad":true}}"#);
    let ask = rounds.ask(Some("a"), QUESTION).unwrap();
    rounds.reject(ask);
    rounds.reject(AskNo(99));
    assert!(rounds.is_waiting() && rounds.answer(ask).is_none());
    let (state, asked) = sealed(&rounds);
    assert_eq!(asked, ["a"]);
    let mut rounds = retry(&state, r#"{"a":{"good":true}}"#);
    let ask = rounds.ask(Some("a"), QUESTION).unwrap();
    assert_eq!(answer(&rounds, ask), Some(r#"{"good":true}"#));
}

#[test]
fn a_closed_question_is_not_asked_and_a_kept_answer_stays() {
    let mut rounds = first();
    let a = rounds.ask(Some("a"), QUESTION).unwrap();
    rounds.ask(Some("b"), QUESTION).unwrap();
    rounds.close(a);
    rounds.close(AskNo(99));
    let (state, asked) = sealed(&rounds);
    assert_eq!(asked, ["b"]);
    let mut rounds = retry(&state, r#"{"a":{"n":1},"b":{"n":2}}"#);
    let a = rounds.ask(Some("a"), QUESTION).unwrap();
    assert_eq!(answer(&rounds, a), None, "it was not asked, so this is no answer");
    let b = rounds.ask(Some("b"), QUESTION).unwrap();
    rounds.close(b); // as when the handler has its answer and goes on
    let (state, asked) = sealed(&rounds);
    assert_eq!(asked, ["a"]);
    let mut rounds = retry(&state, "{}");
    let b = rounds.ask(Some("b"), QUESTION).unwrap();
    assert_eq!(answer(&rounds, b), Some(r#"{"n":2}"#));
}

#[test]
fn an_answer_that_a_run_does_not_come_to_is_kept() {
    let mut rounds = first();
    rounds.ask(Some("a"), QUESTION).unwrap();
    rounds.ask(Some("b"), QUESTION).unwrap();
    // This run is dropped before it asks "a" again.
    let mut rounds = retry(&sealed(&rounds).0, r#"{"a":{"n":1}}"#);
    rounds.ask(Some("b"), QUESTION).unwrap();
    let mut rounds = retry(&sealed(&rounds).0, "{}");
    let a = rounds.ask(Some("a"), QUESTION).unwrap();
    assert_eq!(answer(&rounds, a), Some(r#"{"n":1}"#));
}

#[test]
fn each_question_of_a_run_has_a_key_of_its_own() {
    let names = [Some("a"), None, Some("a"), Some("a#2"), Some("a"), None, Some("1"), Some("2#2")];
    let expected = ["a", "1", "a#2", "a#2#2", "a#3", "2", "1#2", "2#2"];
    let mut state = None::<String>;
    for _ in 0..2 {
        let mut rounds = state.as_deref().map_or_else(first, |state| retry(state, "{}"));
        for name in names {
            rounds.ask(name, QUESTION).unwrap();
        }
        let (next, asked) = sealed(&rounds);
        assert_eq!(asked, expected, "the same in every run");
        state = Some(next);
    }
}

#[test]
fn questions_keys_and_memos_are_bounded() {
    let mut rounds = first();
    assert_eq!(rounds.ask(Some(""), QUESTION), Err(AskRefused::BadKey));
    assert_eq!(rounds.ask(Some(&"k".repeat(257)), QUESTION), Err(AskRefused::BadKey));
    rounds.ask(Some(&"k".repeat(256)), QUESTION).unwrap();
    for _ in 1..64 {
        rounds.ask(None, QUESTION).unwrap();
    }
    assert_eq!(rounds.ask(None, QUESTION), Err(AskRefused::TooMany));
    assert_eq!(sealed(&rounds).1.len(), 64);

    let one = || raw("1");
    assert_eq!(rounds.remember("", one()), Err(AskRefused::BadKey));
    for number in 0..64 {
        rounds.remember(&format!("m{number}"), one()).unwrap();
    }
    assert_eq!(rounds.remember("m64", one()), Err(AskRefused::TooMany));
    assert_eq!(rounds.check_memo("m64", 0), Err(AskRefused::TooMany));
    assert_eq!(rounds.check_memo("m63", 9), Ok(()), "it is instead of the one that is there");
    assert_eq!(Rounds::new(None).unwrap().check_memo("m", 63), Ok(()));
    assert_eq!(Rounds::new(None).unwrap().check_memo("m", 64), Err(AskRefused::TooMany));
    assert_eq!(rounds.check_memo(&"k".repeat(257), 0), Err(AskRefused::BadKey));
    assert_eq!(rounds.remember("m63", raw("2")), Ok(()));
    assert_eq!(rounds.memo("m63"), Some(&raw("2")));
}

#[test]
fn a_memo_is_remembered_until_the_state_expires() {
    let mut rounds = first();
    rounds.ask(None, QUESTION).unwrap();
    rounds.remember("price", raw("17")).unwrap();
    let (state, _) = sealed(&rounds);
    let rounds = retry(&state, "{}");
    assert_eq!(rounds.memo("price"), Some(&raw("17")));
    assert_eq!(rounds.memo("1"), None, "a question is no memo");
    let (state, _) = sealed(&rounds);
    assert_eq!(retry(&state, "{}").memo("price"), Some(&raw("17")));
}

#[test]
fn a_state_that_grows_too_long_is_refused_and_left_as_it_was() {
    let mut rounds = first();
    rounds.ask(None, QUESTION).unwrap();
    rounds.remember("small", raw("1")).unwrap();
    let big = || Raw::new(&"x".repeat(60 * 1024)).unwrap();
    rounds.remember("big", big()).unwrap();
    assert_eq!(rounds.remember("more", big()), Err(AskRefused::TooLarge));
    assert_eq!(rounds.memo("more"), None);
    let larger = Raw::new(&"x".repeat(70 * 1024)).unwrap();
    assert_eq!(rounds.remember("small", larger.clone()), Err(AskRefused::TooLarge));
    assert_eq!(rounds.memo("small"), Some(&raw("1")));
    let mut rounds = retry(&sealed(&rounds).0, "{}");
    assert_eq!(rounds.memo("big"), Some(&big()));
    rounds.ask(None, QUESTION).unwrap();

    // A long answer is found, but cannot be carried into one more round.
    let mut rounds = retry(&sealed(&rounds).0, &format!(r#"{{"1":{{"text":{}}}}}"#, larger.as_str()));
    let ask = rounds.ask(None, QUESTION).unwrap();
    assert!(rounds.answer(ask).is_some());
    rounds.ask(None, QUESTION).unwrap();
    let required = rounds.input_required(&binding(), &keys(), [0; 24], 10);
    assert_eq!(required.map(|required| required.state), Err(AskRefused::TooLarge));
}

#[test]
fn a_state_that_is_not_of_this_request_is_refused_in_one_sentence() {
    let mut rounds = first();
    rounds.ask(Some("a"), QUESTION).unwrap();
    let (state, _) = sealed(&rounds);
    let arguments = raw(r#"{"all":true}"#);
    let refused = |state: &str, binding: &Binding, keys: &KeyRing, now| {
        let refusal = Rounds::open(Some(&raw(r#"{"a":{}}"#)), state, binding, keys, now).unwrap_err();
        assert_eq!((refusal.status().as_u16(), refusal.code().0), (400, -32602));
        refusal.message().to_owned()
    };
    let foreign = [
        Binding::new("tools/call", Some("delete"), None, Some(b"bob")),
        Binding::new("tools/call", Some("delete"), None, None),
        Binding::new("tools/call", Some("delete_all"), None, Some(b"ada")),
        Binding::new("tools/call", Some("delete"), Some(&arguments), Some(b"ada")),
        Binding::new("prompts/get", Some("delete"), None, Some(b"ada")),
    ];
    let mut sentences: BTreeSet<String> =
        foreign.iter().map(|binding| refused(&state, binding, &keys(), 11)).collect();
    for text in [&format!("{state}-TAMPERED"), "", "x", "{}", "\u{1f600}", &"A".repeat(200_000)] {
        sentences.insert(refused(text, &binding(), &keys(), 11));
    }
    sentences.insert(refused(&state, &binding(), &KeyRing::new([8; 32]), 11));
    // It does not even say that it has expired.
    sentences.insert(refused(&state, &foreign[0], &keys(), u64::MAX));
    // What a key of ours sealed, but is no state of rounds.
    for payload in
        [&b""[..], b"1234567", b"12345678\x09", b"12345678\x01\xff\xff\xff\xff", b"12345678\x04\0\0\0\x01{"]
    {
        sentences.insert(refused(&keys().seal(&binding(), [0; 24], payload), &binding(), &keys(), 11));
    }
    assert_eq!(
        sentences.into_iter().collect::<Vec<_>>(),
        [
            "The requestState was not given for this request. Send the request again without requestState and inputResponses."
        ]
    );
}

#[test]
fn an_expired_state_starts_anew() {
    let keys = keys().with_ttl(Duration::from_secs(30));
    let mut rounds = first();
    rounds.ask(Some("a"), QUESTION).unwrap();
    rounds.remember("m", raw("1")).unwrap();
    rounds.set_handler_state(raw("2"));
    let state = rounds.input_required(&binding(), &keys, [0; 24], 1_000).unwrap().state;
    let open = |now| Rounds::open(Some(&raw(r#"{"a":{}}"#)), &state, &binding(), &keys, now).unwrap();
    for (now, is_expired) in [(0, false), (1_000, false), (1_029, false), (1_030, true), (u64::MAX, true)] {
        let mut rounds = open(now);
        assert_eq!(rounds.is_expired(), is_expired, "{now}");
        assert_eq!(rounds.memo("m").is_none(), is_expired);
        assert_eq!(rounds.handler_state().is_none(), is_expired);
        assert_eq!(rounds.input_responses().is_empty(), is_expired);
        let ask = rounds.ask(Some("a"), QUESTION).unwrap();
        assert_eq!(rounds.answer(ask).is_none(), is_expired);
    }
    // Every round has the whole time again.
    let mut rounds = open(1_029);
    rounds.ask(Some("b"), QUESTION).unwrap();
    let state = rounds.input_required(&binding(), &keys, [0; 24], 1_029).unwrap().state;
    assert!(!Rounds::open(None, &state, &binding(), &keys, 1_058).unwrap().is_expired());
    assert!(first().input_required(&binding(), &keys, [0; 24], u64::MAX).is_ok());
}

#[test]
fn a_replaced_key_opens_what_it_sealed() {
    let mut rounds = first();
    rounds.ask(Some("a"), QUESTION).unwrap();
    let (state, _) = sealed(&rounds);
    let newer = KeyRing::new([8; 32]).with_older([7; 32]);
    let rounds = Rounds::open(None, &state, &binding(), &newer, 11).unwrap();
    let next = rounds.input_required(&binding(), &newer, [1; 24], 11).unwrap().state;
    assert!(Rounds::open(None, &next, &binding(), &KeyRing::new([8; 32]), 12).is_ok());
    assert!(Rounds::open(None, &next, &binding(), &keys(), 12).is_err());
}

#[test]
fn a_handler_makes_its_own_rounds() {
    let mut rounds = Rounds::new(Some(&raw(r#"{"early":7}"#))).unwrap();
    assert_eq!(rounds.input_responses().len(), 1);
    rounds.set_handler_state(raw(r#"{"step":1}"#));
    rounds.expect_responses(["name", "colour"]).unwrap();
    let (state, asked) = sealed(&rounds);
    assert!(asked.is_empty(), "its questions are its own to send");

    let mut rounds = retry(&state, r#"{"name":{"n":1},"other":2}"#);
    assert_eq!(rounds.handler_state(), Some(&raw(r#"{"step":1}"#)));
    assert_eq!(rounds.input_responses().keys().map(Str::as_str).collect::<Vec<_>>(), ["name", "other"]);
    // It asks as others do: what it had is there in the round after, and what it did not ask for is not.
    rounds.ask(Some("sure"), QUESTION).unwrap();
    let mut rounds = retry(&sealed(&rounds).0, r#"{"sure":{},"colour":{"n":2}}"#);
    assert_eq!(rounds.handler_state(), Some(&raw(r#"{"step":1}"#)));
    let responses = rounds.input_responses();
    assert_eq!(responses.keys().map(Str::as_str).collect::<Vec<_>>(), ["colour", "name", "sure"]);
    assert_eq!(responses["name"], raw(r#"{"n":1}"#));

    // A round of its own begins with nothing but what it says.
    rounds.ask(Some("left open"), QUESTION).unwrap();
    rounds.set_handler_state(None);
    rounds.expect_responses([]).unwrap();
    let (state, asked) = sealed(&rounds);
    assert!(asked.is_empty() && !rounds.is_waiting());
    let rounds = retry(&state, "{}");
    assert_eq!(rounds.handler_state(), None);
    assert!(rounds.input_responses().is_empty());
}

#[test]
fn keys_of_a_handler_are_checked() {
    let mut rounds = first();
    assert_eq!(rounds.expect_responses(["a", "b", "a"]), Err(AskRefused::SameKey));
    assert_eq!(rounds.expect_responses(["a", ""]), Err(AskRefused::BadKey));
    let many: Vec<String> = (0..65).map(|number| number.to_string()).collect();
    assert_eq!(rounds.expect_responses(many.iter().map(String::as_str)), Err(AskRefused::TooMany));
    assert_eq!(rounds.expect_responses(many[1..].iter().map(String::as_str)), Ok(()));
}

#[test]
fn responses_that_cannot_be_read_are_refused() {
    let many = |count: usize| {
        let members: Vec<String> = (0..count).map(|number| format!("\"{number}\":{{}}")).collect();
        format!("{{{}}}", members.join(","))
    };
    for (responses, why) in [
        ("null".to_owned(), "invalid type: null, expected an object"),
        ("7".into(), "invalid type: integer `7`, expected an object"),
        ("[{}]".into(), "invalid type: sequence, expected an object"),
        (r#"{"a":{},"\u0061":{}}"#.into(), "it has a key twice"),
        (many(129), "it has more than 128 members"),
    ] {
        let refusal = Rounds::new(Some(&raw(responses))).unwrap_err();
        assert_eq!((refusal.status().as_u16(), refusal.code().0), (400, -32602));
        assert_eq!(
            refusal.message(),
            format!(
                "The member \"inputResponses\" cannot be read: {why}. Send an object with one response for each key of inputRequests."
            )
        );
    }
    assert_eq!(Rounds::new(Some(&raw(many(128)))).unwrap().input_responses().len(), 128);
}

#[test]
fn refusals_say_what_to_do() {
    for (refused, sentence) in [
        (
            AskRefused::TooMany,
            "one call asks at most 64 questions and remembers at most 64 values: ask for several things at once",
        ),
        (
            AskRefused::BadKey,
            "the key of a question or a remembered value has 1 to 256 bytes: use a short name",
        ),
        (AskRefused::SameKey, "two input requests have the same key: give each its own"),
        (
            AskRefused::TooLarge,
            "the answers and remembered values of one call are longer than 64 KiB: keep large ones elsewhere and remember where",
        ),
    ] {
        assert_eq!(refused.to_string(), sentence);
    }
}

/// A handler that always does the same: groups of questions asked at once, each group awaited before the next, and a value
/// made once before each.
type Script = Vec<Vec<(Option<u8>, u8)>>;

/// What a client does about one question in one round.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Reaction {
    Answers,
    /// Sends an object that the handler cannot read.
    Spoils,
    /// Sends what is no object.
    Babbles,
    Leaves,
}

fn reaction() -> impl Strategy<Value = Reaction> {
    use Reaction::{Answers, Babbles, Leaves, Spoils};
    prop_oneof![3 => Just(Answers), 1 => Just(Spoils), 1 => Just(Babbles), 1 => Just(Leaves)]
}

fn question(number: u8) -> String {
    format!(r#"{{"method":"elicitation/create","params":{{"message":"{number}"}}}}"#)
}

/// One run of the handler: its answers when it came to its end, else the questions that it waits for, as it numbers them.
fn run(script: &Script, rounds: &mut Rounds, effects: &Cell<usize>) -> Result<Vec<String>, Vec<usize>> {
    let mut answers = Vec::new();
    for (at, group) in script.iter().enumerate() {
        let memo = format!("effect {at}");
        if rounds.memo(&memo).is_none() {
            effects.set(effects.get() + 1);
            rounds.remember(&memo, raw("true")).unwrap();
        }
        let asks: Vec<AskNo> = group
            .iter()
            .map(|(key, number)| {
                let key = key.map(|key| format!("k{key}"));
                rounds.ask(key.as_deref(), question(*number).as_bytes()).unwrap()
            })
            .collect();
        for ask in &asks {
            if rounds.answer(*ask).is_some_and(|answer| answer.as_str().contains("spoilt")) {
                rounds.reject(*ask);
            }
        }
        let before = answers.len();
        answers.extend(asks.iter().map(|ask| rounds.answer(*ask).map(|answer| answer.as_str().to_owned())));
        assert_eq!(rounds.is_waiting(), answers.contains(&None));
        if rounds.is_waiting() {
            return Err((before..answers.len()).filter(|at| answers[*at].is_none()).collect());
        }
    }
    Ok(answers.into_iter().flatten().collect())
}

proptest! {
    /// Against a model that knows only this: a question keeps the first good answer that it was given after it was asked.
    #[test]
    fn any_client_leads_a_handler_to_its_end(
        script in prop::collection::vec(prop::collection::vec((prop::option::of(0..3_u8), 0..3_u8), 1..4), 1..4),
        reactions in prop::collection::vec(reaction(), 0..30),
    ) {
        let mut reactions = reactions.into_iter();
        let effects = Cell::new(0);
        let mut model: BTreeMap<usize, String> = BTreeMap::new();
        let mut rounds = first();
        for round in 1..=60_u8 {
            let waiting = match run(&script, &mut rounds, &effects) {
                Ok(answers) => {
                    prop_assert_eq!(answers, model.into_values().collect::<Vec<_>>());
                    prop_assert_eq!(effects.get(), script.len(), "each was made once");
                    return Ok(());
                }
                Err(waiting) => waiting,
            };
            let required = rounds.input_required(&binding(), &keys(), [round; 24], u64::from(round)).unwrap();
            prop_assert_eq!(required.requests.len(), waiting.len());
            let unique: BTreeSet<&Str> = required.requests.iter().map(|request| &request.key).collect();
            prop_assert_eq!(unique.len(), waiting.len());
            let flat: Vec<u8> = script.iter().flatten().map(|(_, number)| *number).collect();

            let mut responses = vec![format!(r#""nobody asked":{{"round":{round}}}"#)];
            for (request, at) in required.requests.iter().zip(waiting) {
                prop_assert!(!model.contains_key(&at), "nothing is asked twice");
                prop_assert!(request.question == question(flat[at]).as_bytes());
                let key = Raw::new(&request.key).unwrap();
                // In the end it answers all.
                match reactions.next().unwrap_or(Reaction::Answers) {
                    Reaction::Answers => {
                        let answer = format!(r#"{{"round":{round},"question":{at}}}"#);
                        responses.push(format!("{}:{answer}", key.as_str()));
                        model.insert(at, answer);
                    }
                    Reaction::Spoils => responses.push(format!(r#"{}:{{"spoilt":{round}}}"#, key.as_str())),
                    Reaction::Babbles => responses.push(format!("{}:{round}", key.as_str())),
                    Reaction::Leaves => {}
                }
            }
            let responses = raw(format!("{{{}}}", responses.join(",")));
            let now = u64::from(round) + 1;
            rounds = Rounds::open(Some(&responses), &required.state, &binding(), &keys(), now).unwrap();
        }
        prop_assert!(false, "it never came to its end");
    }

    #[test]
    fn any_request_is_opened_or_refused_without_a_panic(
        text: String,
        payload in prop::collection::vec(any::<u8>(), 0..120),
        now: u64,
    ) {
        prop_assert!(Rounds::open(None, &text, &binding(), &keys(), now).is_err());
        let sealed = keys().seal(&binding(), [3; 24], &payload);
        if let Ok(mut rounds) = Rounds::open(Some(&raw(r#"{"1":{}}"#)), &sealed, &binding(), &keys(), now) {
            let ask = rounds.ask(None, &payload).unwrap();
            rounds.answer(ask);
            rounds.input_required(&binding(), &keys(), [4; 24], now).unwrap();
        }
    }
}
