//! What programs hold in memory is bounded, and let go when nobody needs it any more.

use udpchat_core::load::Gauge;
use udpchat_core::protocol::limits::{
    GROUP_REQUESTS_MAX, HELD_MAX, NAMES_MAX, OUTBOX_MAX, STORED_MAX, STREAMS_MAX,
    WAITING_COMMANDS_MAX, WAITING_OUTPUTS_MAX, WINDOW,
};

use super::{Checker, Evidence, Violation, When};
use crate::planning::plan::{Act, Role};

pub(super) const CHECKER: Checker = Checker {
    name: "memory",
    promise: "no program holds more than its limits and its users' doings explain, nor, when \
              everything is settled, anything that was on its way",
    when: When::Always,
    check,
};

/// Deadlines of a client that are about no recipient: the beginning, the session, groups, giving
/// up, the end of the input.
const CLIENT_TIMERS: usize = 5;

/// Deadlines of a server for each name: lease, probe, table, mail.
const TIMERS_A_NAME: usize = 4;

fn check(evidence: Evidence<'_>) -> Vec<Violation> {
    let size = Size::of(evidence);
    let is_healed = evidence.plan.healed.is_some();
    let mut violations = Vec::new();
    for (host, load) in evidence.load {
        let mut add = |what| {
            violations.push(Violation { checker: CHECKER.name, at: evidence.end, what });
        };
        for (gauge, count) in load.most.iter() {
            let most = size.most(gauge);
            if count > most {
                add(format!("{host} held {count} {gauge:?}, {most} can be explained"));
            }
        }
        for (gauge, count) in load.last.iter().filter(|_| is_healed) {
            let most = size.most_when_settled(gauge);
            if count > most {
                add(format!("in the end {host} holds {count} {gauge:?}, nobody needs over {most}"));
            }
        }
    }
    violations
}

/// How much is going on in a run.
struct Size {
    users: usize,
    messages: usize,
    /// Then some of it may stay: for users who are none, or who were told in others' place.
    strange: bool,
}

impl Size {
    fn of(Evidence { plan, ledger, .. }: Evidence<'_>) -> Self {
        let is_user = |role: &Role| matches!(role, Role::Client { .. });
        // Whatever an adversary sends may make a user, or a message.
        let strange: u32 = plan.moves.iter().map(|it| it.times).sum();
        let strange = usize::try_from(strange).unwrap_or(usize::MAX);
        let users = plan.hosts.iter().filter(|host| is_user(&host.role)).count() + strange;
        let actions = plan.hosts.iter().flat_map(|host| &host.actions);
        let messages = actions.map(|action| match &action.act {
            // One to many has a copy for everybody at most.
            Act::Type { label: Some(_), line } if !line.starts_with("send ") => users,
            Act::Type { label: Some(_), .. } => 1,
            _ => 0,
        });
        let messages = messages.sum::<usize>() + strange;
        Self { users, messages, strange: plan.is_attacked() || !ledger.shared.is_empty() }
    }

    /// At any time.
    fn most(&self, gauge: Gauge) -> usize {
        let Self { users, messages, .. } = *self;
        match gauge {
            Gauge::Outputs => WAITING_OUTPUTS_MAX,
            Gauge::Timers => CLIENT_TIMERS + TIMERS_A_NAME * users + messages,
            Gauge::Held => messages.min(HELD_MAX * STREAMS_MAX),
            Gauge::HeldStreams | Gauge::Streams | Gauge::Untold => messages.min(STREAMS_MAX),
            Gauge::Names => users.min(NAMES_MAX),
            Gauge::Commands => WAITING_COMMANDS_MAX,
            Gauge::Outbox => messages.min(OUTBOX_MAX),
            Gauge::Recipients | Gauge::Casts => messages,
            Gauge::Requests => GROUP_REQUESTS_MAX,
            Gauge::Sessions => users,
            Gauge::StoredMessages | Gauge::Undurable => messages.min(STORED_MAX),
            Gauge::Flights => messages.min(users * WINDOW),
        }
    }

    /// When everybody is here and everything has been shown.
    fn most_when_settled(&self, gauge: Gauge) -> usize {
        match gauge {
            // Everybody's lease, or one's own next keep-alive; and the next look for names that
            // nobody comes back for.
            Gauge::Timers => self.users + 1,
            Gauge::Streams | Gauge::Names | Gauge::Recipients | Gauge::Sessions => self.most(gauge),
            Gauge::Outputs | Gauge::Commands | Gauge::Requests => 0,
            _ if self.strange => self.most(gauge),
            Gauge::Held
            | Gauge::HeldStreams
            | Gauge::Outbox
            | Gauge::Casts
            | Gauge::StoredMessages
            | Gauge::Undurable
            | Gauge::Flights
            | Gauge::Untold => 0,
        }
    }
}
