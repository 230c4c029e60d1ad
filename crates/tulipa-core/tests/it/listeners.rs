//! Listeners, one rule at a time.

use tulipa_core::Ends;
use tulipa_core::sim::{Faults, Operation, SimAddress, codes};

use crate::bench::Bench;
use crate::host::Owner;

fn listening(faults: Faults) -> (Bench, tulipa_core::Token, SimAddress) {
    let mut bench = Bench::with(faults);
    let (source, address) = bench.sim().listener(8);
    let token = bench.lp.listen(source, Owner(9)).unwrap();
    (bench, token, address)
}

#[test]
fn a_listener_reports_as_long_as_somebody_waits() {
    let (mut bench, token, address) = listening(Faults::none());
    bench.sim().connect(address).unwrap();
    bench.sim().connect(address).unwrap();
    for _ in 0..2 {
        assert_eq!(bench.turn(), ["acceptable 9"]);
    }
    for owner in 1..=2 {
        assert!(bench.turn().contains(&"acceptable 9".to_owned()));
        let (source, _) = bench.lp.accept(token).unwrap().unwrap();
        bench.lp.open_stream(source, Owner(owner), Ends::Both);
    }
    assert!(matches!(bench.lp.accept(token), Ok(None)));
    assert_eq!(bench.turn(), ["made 2"]);
    assert_eq!(bench.turn(), [""; 0]);
}

#[test]
fn an_accepted_connection_carries_bytes() {
    let (mut bench, token, address) = listening(Faults::none());
    let near = bench.sim().connect(address).unwrap();
    bench.sim().peer(near).write(b"hello").unwrap();
    bench.turn();
    let (source, _) = bench.lp.accept(token).unwrap().unwrap();
    bench.lp.open_stream(source, Owner(1), Ends::Both);
    assert_eq!(bench.run_until_quiet(), ["made 1", "data 1: hello"]);
}

#[test]
fn out_of_descriptors_the_listener_pauses_and_goes_on() {
    let (mut bench, token, address) = listening(Faults { descriptors_max: 1, ..Faults::none() });
    bench.sim().connect(address).unwrap();
    assert_eq!(bench.turn(), ["acceptable 9"]);
    assert!(matches!(bench.lp.accept(token), Err(codes::TOO_MANY_OPEN)));
    bench.lp.pause_accepting(token, true).unwrap();
    assert_eq!(bench.run_until_quiet(), [""; 0], "no busy loop");
    assert!(matches!(bench.lp.accept(token), Ok(None)));
    bench.sim().faults().descriptors_max = 2;
    bench.lp.pause_accepting(token, false).unwrap();
    assert_eq!(bench.turn(), ["acceptable 9"]);
    assert!(matches!(bench.lp.accept(token), Ok(Some(_))));
}

#[test]
fn a_pause_that_the_driver_refuses_changes_nothing() {
    let (mut bench, token, address) = listening(Faults::none());
    bench.sim().connect(address).unwrap();
    bench.sim().fail_next(Operation::Change, codes::CLOSED);
    assert_eq!(bench.lp.pause_accepting(token, true), Err(codes::CLOSED));
    assert_eq!(bench.turn(), ["acceptable 9"]);
}

#[test]
fn a_listener_that_cannot_be_attached_leaves_no_trace() {
    let mut bench = Bench::new();
    let (source, address) = bench.sim().listener(8);
    bench.sim().fail_next(Operation::Attach, codes::TOO_MANY_WATCHED);
    assert_eq!(bench.lp.listen(source, Owner(9)), Err(codes::TOO_MANY_WATCHED));
    assert_eq!((bench.sim().open(), bench.lp.load().open), (0, 0));
    assert_eq!(bench.sim().connect(address), Err(codes::REFUSED));
}

#[test]
fn a_released_listener_resets_those_who_waited() {
    let (mut bench, token, address) = listening(Faults::none());
    let near = bench.sim().connect(address).unwrap();
    bench.turn();
    assert_eq!(bench.lp.release(token).unwrap().owner, Some(Owner(9)));
    bench.turn();
    assert_eq!(bench.sim().peer(near).read(&mut [0]), Err(codes::RESET));
}
