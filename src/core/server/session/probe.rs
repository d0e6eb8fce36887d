//! A question that a client has to answer, and who has its name if it does not.

use super::super::Event;
use super::super::contender::Contender;
use super::super::context::Context;
use crate::mutation::Mutations;
use crate::protocol::{Nonce, Refusal};

#[derive(Debug)]
pub(super) struct Probe {
    nonce: Nonce,
    asked: u32,
    contender: Option<Contender>,
}

impl Probe {
    pub(super) const fn new(nonce: Nonce, contender: Option<Contender>) -> Self {
        Self { nonce, asked: 0, contender }
    }

    pub(super) const fn nonce(&self) -> Nonce {
        self.nonce
    }

    /// Whether somebody waits for the answer who wants the name.
    pub(super) const fn is_contended(&self) -> bool {
        self.contender.is_some()
    }

    /// The first contender is served; a later registration of the same one replaces it.
    pub(super) fn contend(&mut self, contender: Option<Contender>) {
        let who = |contender: &Option<Contender>| {
            contender.as_ref().map(|it| (it.account.token, it.account.original))
        };
        if self.contender.is_none() || who(&self.contender) == who(&contender) {
            self.contender = contender;
        }
    }

    /// How often it is asked with this time; none if so often was for nothing.
    pub(super) const fn ask(&mut self, questions: u32) -> Option<u32> {
        if self.asked >= questions {
            return None;
        }
        self.asked += 1;
        Some(self.asked)
    }

    pub(super) fn into_contender(self) -> Option<Contender> {
        self.contender
    }
}

impl Contender {
    /// The name's holder is there.
    pub(super) fn lost<M: Mutations>(self, cx: &mut Context<M>) {
        self.refuse(cx, Refusal::NameInUse);
        cx.report(Event::Refused { name: self.name, addr: self.path.remote });
    }
}
