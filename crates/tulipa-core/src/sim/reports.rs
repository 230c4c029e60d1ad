//! Gathering: what has happened by now, and what the loop is told of it.

use crate::driver::{Completion, Interest};
use crate::time::Instant;
use crate::watch::Direction;

use super::SimDriver;
use super::clock::Event;
use super::end::{End, EndId};

impl SimDriver {
    /// Lets everything happen that is due, and reports it in an order of chance.
    pub(super) fn gather(&mut self) {
        while let Some(event) = self.clock.take_due() {
            self.happens(event);
        }
        let (tells_all, tells_hangup) = (self.faults.tells_all, self.faults.tells_hangup);
        let mut reports = Vec::new();
        for (id, end) in &mut self.ends {
            let Some(report) = report_of(end, tells_all, tells_hangup) else { continue };
            if self.dice.happens(self.faults.held_back) {
                continue;
            }
            if let Some(watched) = &mut end.watched {
                watched.reported(report);
            }
            reports.push((*id, report));
        }
        let spurious = self.spurious_report();
        // One gathering reports an end once, as every poller does.
        reports.extend(spurious.filter(|(id, _)| reports.iter().all(|(other, _)| other != id)));
        self.dice.shuffle(&mut reports);
        for (id, report) in reports {
            let flags = usize::from(report.readable) | usize::from(report.writable) << 1;
            self.trace.add(self.clock.now(), id, "report", flags | usize::from(report.hangup) << 2);
            self.completions.push_back(report);
        }
    }

    /// A report that nothing has caused.
    fn spurious_report(&mut self) -> Option<(EndId, Completion)> {
        if !self.dice.happens(self.faults.spurious) {
            return None;
        }
        let watched: Vec<EndId> =
            self.ends.iter().filter(|(_, end)| end.watched.is_some()).map(|(id, _)| *id).collect();
        let id = *self.dice.pick(&watched)?;
        let end = self.ends.get_mut(&id)?;
        let reads = end.kind.may_be_read();
        let watched = end.watched.as_mut()?;
        watched.allow();
        let Interest { read, write, .. } = watched.interest;
        Some((id, Completion { token: watched.token, readable: read && reads, writable: write, hangup: false }))
    }

    /// Whether a gathering now would report anything, and thus a wait would end at once.
    pub(super) fn has_reports(&self) -> bool {
        let (tells_all, tells_hangup) = (self.faults.tells_all, self.faults.tells_hangup);
        !self.completions.is_empty()
            || self.clock.next_event().is_some_and(|when| when <= self.clock.now())
            || self.ends.values().any(|end| report_of(end, tells_all, tells_hangup).is_some())
    }

    /// Takes note that something has changed at an end.
    pub(super) fn news(&mut self, id: EndId, direction: Direction) {
        if let Some(watched) = self.ends.get_mut(&id).and_then(|end| end.watched.as_mut()) {
            watched.news(direction);
        }
    }

    /// Lets time pass that a turn takes by itself.
    pub(super) fn pass_turn(&mut self) {
        let spent = self.dice.secs((self.faults.turn_secs / 10.0, self.faults.turn_secs));
        let now = self.clock.now();
        // However large the clock reads, time must go on.
        self.clock.move_to(now.after(spent).max(Instant::from_secs(now.as_secs().next_up())));
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Bytes { from, to, bytes } => self.bytes_arrive(from, to, &bytes),
            Event::Finished { to } => self.end_arrives(to),
            Event::Broken { to, code } => self.breaks(to, code),
            Event::ReaderGone { to } => self.reader_gone(to),
            Event::Room { to, count } => self.room_appears(to, count),
            Event::Landed { to } => self.lands(to),
            Event::Reveal { to } => self.reveal(to),
            Event::Connected { listener, end, from } => self.connection_arrives(listener, end, from),
            Event::Datagram { from, to, bytes, source } => self.datagram_arrives(from, to, bytes, source),
            Event::Sent { from, count } => self.datagram_leaves(from, count),
            Event::Stale(completion) => self.completions.push_back(completion),
            Event::Alarm => {}
        }
    }

    /// Who waits for what, in words.
    pub(super) fn who_waits(&self) -> String {
        use std::fmt::Write as _;

        let mut text = String::from("deadlock: nothing can ever happen.");
        for (id, end) in &self.ends {
            let Some(watched) = &end.watched else { continue };
            let ready = end.kind.readiness();
            let wish = |wanted: bool, ready: bool, name: &str| match (wanted, ready) {
                (false, _) => String::new(),
                (true, false) => format!(" {name}"),
                (true, true) => format!(" {name} (told before, and not asked since)"),
            };
            let _ = write!(
                text,
                "\n  {} {id} under {:?} waits to{}{}{}",
                end.kind.name(),
                watched.token,
                wish(watched.interest.read, ready.read, "read"),
                if watched.interest.read && watched.interest.write { " and to" } else { "" },
                wish(watched.interest.write, ready.write, "write"),
            );
        }
        text
    }
}

fn report_of(end: &End, tells_all: bool, tells_hangup: bool) -> Option<Completion> {
    end.watched.as_ref()?.report(end.kind.readiness(), tells_all, tells_hangup)
}
