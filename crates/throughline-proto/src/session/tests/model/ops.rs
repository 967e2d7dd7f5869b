//! What may happen.

use proptest::prelude::*;

/// Numbers pick one of what there is at that moment.
#[derive(Clone, Debug)]
pub(super) enum Op {
    // The client
    Call,
    Batch(usize),
    /// A call, a ping and a notification in one body.
    Mixed,
    SetLevel,
    Subscribe(usize),
    Unsubscribe(usize),
    /// The id of some request once more, in flight or not, on a connection that nobody reads.
    SameId(usize),
    Cancel(usize),
    CancelUnknown,
    Reply(usize),
    ReplyTwice(usize),
    /// To a question that is over.
    ReplyLate(usize),
    ClientProgress(usize),
    Listen,
    /// A newer reader takes a stream over, some events before the last that was read.
    TakeOver(usize, u64),
    /// A cursor of another session.
    Foreign(usize),
    // The handlers
    Finish(usize),
    Progress(usize),
    Log(usize),
    Ask(Option<usize>, u64),
    Abandon(usize),
    Tell,
    // The link and the clock
    Delay(u64),
    DropNext,
    DuplicateNext,
    Cut(usize, usize),
    Wait(u64),
    Settle,
}

pub(super) fn op() -> impl Strategy<Value = Op> {
    let pick = any::<usize>;
    prop_oneof![
        8 => Just(Op::Call),
        2 => (1..4_usize).prop_map(Op::Batch),
        1 => Just(Op::Mixed),
        1 => Just(Op::SetLevel),
        2 => (0..4_usize).prop_map(Op::Subscribe),
        1 => (0..4_usize).prop_map(Op::Unsubscribe),
        2 => pick().prop_map(Op::SameId),
        3 => pick().prop_map(Op::Cancel),
        1 => Just(Op::CancelUnknown),
        3 => pick().prop_map(Op::Reply),
        1 => pick().prop_map(Op::ReplyTwice),
        1 => pick().prop_map(Op::ReplyLate),
        2 => pick().prop_map(Op::ClientProgress),
        2 => Just(Op::Listen),
        3 => (pick(), 0..3_u64).prop_map(|(source, back)| Op::TakeOver(source, back)),
        1 => pick().prop_map(Op::Foreign),
        6 => pick().prop_map(Op::Finish),
        5 => pick().prop_map(Op::Progress),
        2 => pick().prop_map(Op::Log),
        6 => (prop::option::weighted(0.8, pick()), 1..30_u64).prop_map(|(call, patience)| Op::Ask(call, patience)),
        1 => pick().prop_map(Op::Abandon),
        3 => Just(Op::Tell),
        2 => (0..3_000_u64).prop_map(Op::Delay),
        1 => Just(Op::DropNext),
        1 => Just(Op::DuplicateNext),
        5 => (pick(), 0..400_usize).prop_map(|(source, kept)| Op::Cut(source, kept)),
        4 => (0..10_000_u64).prop_map(Op::Wait),
        4 => Just(Op::Settle),
    ]
}
