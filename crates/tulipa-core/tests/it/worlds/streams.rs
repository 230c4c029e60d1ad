//! Streams: what each has been told, and what may come next.

use tulipa_core::sim::{EndId, SimSource, codes};
use tulipa_core::{Code, Ends, Read, Token, Written};

use super::connections::Connection;
use super::world::{Phase, World};
use crate::host::Owner;

#[derive(Debug)]
pub(crate) struct StreamModel {
    pub(crate) token: Token,
    pub(crate) end: EndId,
    pub(crate) ends: Ends,
    pub(crate) started: bool,
    pub(crate) paused: bool,
    /// `eof_received` has run.
    pub(crate) eof: bool,
    /// The program has asked for the end, by whatever means.
    pub(crate) closing: bool,
    pub(crate) writing_paused: bool,
    /// The marks have changed since `pause_writing`.
    pub(crate) marks_changed: bool,
    pub(crate) marks: (usize, usize),
    pub(crate) wants_drained: bool,
    pub(crate) eof_written: bool,
}

impl World {
    pub(crate) fn open_stream(&mut self) {
        let (ends, (source, peer)) = match self.dice.below(5) {
            0 => (Ends::Both, self.lp.driver().local_pair()),
            1 => (Ends::Read, self.lp.driver().pipe_in()),
            2 => (Ends::Write { watch_peer: true }, self.lp.driver().pipe_out()),
            _ => (Ends::Both, self.lp.driver().stream_pair()),
        };
        self.adopt_stream(source, peer, ends);
    }

    pub(crate) fn adopt_stream(&mut self, source: SimSource, peer: EndId, ends: Ends) -> Owner {
        let owner = Owner(self.fresh_id());
        let end = source.id();
        self.mark("open stream", owner.0);
        self.connections.entry(end).or_insert_with(|| {
            Connection::new(owner.0, peer, !matches!(ends, Ends::Write { .. }), !matches!(ends, Ends::Read))
        });
        let token = self.lp.open_stream(source, owner, ends);
        let marks = self.lp.marks(token);
        let model = StreamModel {
            token,
            end,
            ends,
            started: false,
            paused: false,
            eof: false,
            closing: false,
            writing_paused: false,
            marks_changed: false,
            marks,
            wants_drained: false,
            eof_written: false,
        };
        self.streams.insert(owner, model);
        owner
    }

    fn stream(&mut self, token: Token, owner: Owner) -> &mut StreamModel {
        let stream = self.streams.get_mut(&owner).unwrap();
        assert_eq!(stream.token, token);
        stream
    }

    pub(crate) fn connection(&mut self, end: EndId) -> &mut Connection {
        self.connections.get_mut(&end).unwrap()
    }

    pub(crate) fn stream_started(&mut self, token: Token, owner: Owner) {
        let stream = self.stream(token, owner);
        assert!(!std::mem::replace(&mut stream.started, true), "connection_made runs once");
        self.act_on(owner);
        let result = self.lp.begin(token);
        if result.is_err()
            && let Some(stream) = self.streams.get_mut(&owner)
        {
            stream.closing = true;
            let end = stream.end;
            self.connection(end).cut_short = true;
        }
    }

    pub(crate) fn stream_readable(&mut self, token: Token, owner: Owner) {
        let stream = self.stream(token, owner);
        assert!(stream.started, "no data before connection_made");
        let may_read = !stream.paused && !stream.eof && !matches!(stream.ends, Ends::Write { .. });
        let end = stream.end;
        let mut into = vec![0; self.dice.between(1, 512)];
        if self.percent(5.0) {
            into.resize(16_384, 0);
        }
        match self.lp.read(token, &mut into) {
            Read::Data(count) => {
                assert!(may_read, "data for a stream that is paused or at its end");
                self.mark("data_received", owner.0);
                self.connection(end).back.check(&into[..count]);
                self.act_on(owner);
            }
            Read::Eof => {
                assert!(may_read, "an end for a stream that is paused or at its end");
                self.mark("eof_received", owner.0);
                let back = &mut self.connection(end).back;
                assert!(back.finished && back.is_complete(), "an end before all bytes: {back:?}");
                back.ended = true;
                self.stream(token, owner).eof = true;
                self.act_on(owner);
                let keep_open = self.phase == Phase::Settling || self.percent(60.0);
                self.lp.eof_answered(token, keep_open);
                if !keep_open && let Some(stream) = self.streams.get_mut(&owner) {
                    stream.closing = true;
                }
            }
            Read::Nothing => {}
            Read::Failed(code) => {
                assert!(may_read, "an error for a stream that is paused or at its end");
                assert!([codes::RESET, codes::TIMED_OUT].contains(&code), "{code}");
                self.stream(token, owner).closing = true;
                self.connection(end).cut_short = true;
            }
        }
    }

    pub(crate) fn stream_resumed(&mut self, token: Token, owner: Owner) {
        let size = self.lp.buffer_size(token);
        let stream = self.stream(token, owner);
        assert!(std::mem::replace(&mut stream.writing_paused, false), "resume_writing only after pause_writing");
        assert!(size <= stream.marks.0, "{size} bytes are more than the low mark {}", stream.marks.0);
        self.act_on(owner);
    }

    pub(crate) fn drained(&mut self, token: Token, owner: Owner) {
        self.mark("drained", owner.0);
        let size = self.lp.buffer_size(token);
        assert_eq!(size, 0, "drained means empty");
        let stream = self.stream(token, owner);
        assert!(std::mem::replace(&mut stream.wants_drained, false), "nobody asked");
        self.act_on(owner);
    }

    pub(crate) fn stream_lost(&mut self, token: Token, owner: Owner, code: Option<Code>) {
        let stream = self.stream(token, owner);
        assert!(stream.started, "connection_lost comes after connection_made");
        let pipe = matches!(stream.ends, Ends::Write { .. });
        let (closing, end) = (stream.closing, stream.end);
        match code {
            Some(code) => {
                let known =
                    [codes::RESET, codes::TIMED_OUT, codes::BROKEN_PIPE, codes::NOT_CONNECTED, codes::TOO_MANY_WATCHED];
                assert!(known.contains(&code), "{code}");
                self.connection(end).cut_short = true;
            }
            None => {
                let connection = self.connection(end);
                let reader_gone = pipe && (!connection.peer_open || connection.peer_broken);
                assert!(closing || reader_gone, "lost for no reason");
            }
        }
        self.act_on(owner);
        self.release(token, owner);
        self.streams.remove(&owner);
        self.connection(end).out.finished = true;
    }

    // --- what a program does with a stream -------------------------------------------------------------------------

    pub(crate) fn write(&mut self, owner: Owner) {
        let Some(stream) = self.streams.get(&owner) else { return };
        if stream.eof_written || matches!(stream.ends, Ends::Read) {
            return;
        }
        let (token, end) = (stream.token, stream.end);
        // Through a buffer of one byte a large write would take more turns than a world has.
        let narrow = self.lp.driver().faults().buffer_bytes.0 < 64;
        let most = if !narrow && self.percent(10.0) { 100_000 } else { 300 };
        let count = self.dice.below(most);
        let bytes = self.connections[&end].out.bytes(count);
        let closing = self.lp.is_closing(token);
        match self.lp.write(token, bytes) {
            Written::Dropped => {
                assert!(closing, "bytes of an open stream are dropped");
            }
            written => {
                self.mark("write", u32::try_from(count).unwrap());
                self.connection(end).out.took(count);
                if self.lp.is_closing(token) && !closing {
                    self.connection(end).cut_short = true;
                }
                if written == Written::Pause {
                    self.stream_paused(owner);
                }
            }
        }
    }

    fn stream_paused(&mut self, owner: Owner) {
        self.mark("pause_writing", owner.0);
        let stream = &self.streams[&owner];
        let (token, high) = (stream.token, stream.marks.1);
        let size = self.lp.buffer_size(token);
        assert!(size > high, "{size} bytes do not pass the high mark {high}");
        let stream = self.stream(token, owner);
        assert!(!std::mem::replace(&mut stream.writing_paused, true), "pause_writing only once");
        stream.marks_changed = false;
        self.act_on(owner);
    }

    pub(crate) fn write_eof(&mut self, owner: Owner) {
        let Some(stream) = self.streams.get_mut(&owner) else { return };
        if stream.ends != Ends::Both {
            return;
        }
        let (token, end) = (stream.token, stream.end);
        if !self.lp.is_closing(token) {
            self.mark("write_eof", owner.0);
            self.stream(token, owner).eof_written = true;
            self.lp.write_eof(token);
            assert!(self.lp.eof_written(token));
            self.connection(end).out.finished = true;
        }
    }

    pub(crate) fn close(&mut self, owner: Owner) {
        let Some(stream) = self.streams.get_mut(&owner) else { return };
        stream.closing = true;
        let token = stream.token;
        self.mark("close", owner.0);
        self.lp.close(token);
        assert!(self.lp.is_closing(token) && !self.lp.is_reading(token));
    }

    pub(crate) fn abort(&mut self, owner: Owner) {
        let Some(stream) = self.streams.get_mut(&owner) else { return };
        stream.closing = true;
        let (token, end) = (stream.token, stream.end);
        self.mark("abort", owner.0);
        self.lp.abort(token);
        assert!(!self.lp.abort(token), "a stream is lost only once");
        self.connection(end).cut_short = true;
    }

    pub(crate) fn fail(&mut self, owner: Owner) {
        let Some(stream) = self.streams.get_mut(&owner) else { return };
        stream.closing = true;
        let (token, end) = (stream.token, stream.end);
        self.mark("fail", owner.0);
        self.lp.fail(token, Some(codes::TIMED_OUT));
        self.connection(end).cut_short = true;
    }

    pub(crate) fn pause_or_resume(&mut self, owner: Owner) {
        let Some(stream) = self.streams.get_mut(&owner) else { return };
        let (token, paused) = (stream.token, stream.paused);
        let open = !self.lp.is_closing(token);
        if self.phase == Phase::Settling || self.percent(50.0) {
            assert_eq!(self.lp.resume_reading(token), open && paused);
            self.stream(token, owner).paused &= !open;
        } else {
            assert_eq!(self.lp.pause_reading(token), open && !paused);
            self.stream(token, owner).paused |= open;
        }
    }

    pub(crate) fn set_marks(&mut self, owner: Owner) {
        let Some(stream) = self.streams.get_mut(&owner) else { return };
        let token = stream.token;
        let high = if self.percent(30.0) { 0 } else { self.dice.below(2000) };
        let low = self.dice.between(0, high);
        let stream = self.stream(token, owner);
        stream.marks = (low, high);
        stream.marks_changed = true;
        let closing = self.lp.is_closing(token);
        let pause = self.lp.set_marks(token, high, low);
        let end = self.streams[&owner].end;
        if self.lp.is_closing(token) && !closing {
            self.connection(end).cut_short = true;
        }
        if pause {
            self.stream_paused(owner);
        }
    }

    pub(crate) fn tell_drained(&mut self, owner: Owner) {
        let Some(stream) = self.streams.get_mut(&owner) else { return };
        let token = stream.token;
        let empty = self.lp.tell_drained(token);
        self.stream(token, owner).wants_drained |= !empty;
        if empty {
            assert_eq!(self.lp.buffer_size(token), 0);
            // It may have become empty just now, while an earlier question was open.
            self.stream(token, owner).wants_drained = false;
        }
    }
}
