//! What the network does to each client's link: a plan that is made before anything runs.

use std::collections::VecDeque;
use std::time::Duration;

use turmoil::Sim;

use crate::support::Random;

/// Something that happens to the link between a client and the server.
#[derive(Clone, Copy, Debug)]
enum Change {
    Latency(Duration),
    /// What is under way is lost, and what is sent.
    Partition,
    /// The same in one direction, and silence for whoever listens there.
    PartitionFromServer,
    PartitionToServer,
    /// Everything waits, and nothing is lost.
    Hold,
    Release,
    Repair,
    RepairFromServer,
    RepairToServer,
}

/// The plan for all links, in the order of time.
///
/// The messages of a link all take as long at a given time, and are lost or not by the time they are sent. So it does not
/// matter in which order the server speaks to its sessions at one moment, which it does not define.
pub(super) struct Weather(VecDeque<(Duration, usize, Change)>);

impl Weather {
    /// A plan for so many clients. After `until` all is well.
    pub(super) fn new(random: &mut Random, clients: usize, until: Duration) -> Self {
        let mut plan = Vec::new();
        for client in 0..clients {
            // Some live in worse places than others.
            let calm = random.pick(&[300, 1_500, 6_000]);
            let mut now = Duration::ZERO;
            loop {
                now += Duration::from_millis(random.within(0..=calm));
                if now >= until {
                    break;
                }
                let (begin, lasts, end) = spell(random);
                plan.push((now, client, begin));
                now += lasts;
                plan.extend(end.map(|end| (now, client, end)));
            }
            plan.push((now, client, Change::Latency(Duration::from_millis(20))));
        }
        plan.sort_by_key(|(at, ..)| *at);
        Self(plan.into())
    }

    /// Does what is due.
    pub(super) fn pass(&mut self, sim: &Sim<'_>) {
        while let Some((at, client, change)) = self.0.front().copied()
            && at <= sim.elapsed()
        {
            self.0.pop_front();
            let client = &*super::name(client);
            match change {
                Change::Latency(latency) => sim.set_link_latency(client, SERVER, latency),
                Change::Partition => sim.partition(client, SERVER),
                Change::PartitionFromServer => sim.partition_oneway(SERVER, client),
                Change::PartitionToServer => sim.partition_oneway(client, SERVER),
                Change::Hold => sim.hold(client, SERVER),
                Change::Release => sim.release(client, SERVER),
                Change::Repair => sim.repair(client, SERVER),
                Change::RepairFromServer => sim.repair_oneway(SERVER, client),
                Change::RepairToServer => sim.repair_oneway(client, SERVER),
            }
        }
    }
}

/// A change, how long it lasts, and what ends it.
fn spell(random: &mut Random) -> (Change, Duration, Option<Change>) {
    let (change, longest, end) = match random.below(12) {
        0..=3 => {
            let latency = Duration::from_millis(random.pick(&[1, 20, 50, 150, 400, 900]));
            return (Change::Latency(latency), Duration::ZERO, None);
        }
        // A few segments are lost: that breaks a connection for good, as nothing here sends them again.
        4..=6 => (Change::Partition, 120, Change::Repair),
        7 => (Change::Partition, 50_000, Change::Repair),
        8 => (Change::PartitionFromServer, 30_000, Change::RepairFromServer),
        9 => (Change::PartitionToServer, 30_000, Change::RepairToServer),
        // Longer than a reader may stall, and than a connection to which nothing can be written is kept.
        _ => (Change::Hold, 45_000, Change::Release),
    };
    (change, Duration::from_millis(random.within(1..=longest)), Some(end))
}

const SERVER: &str = super::SERVER;
