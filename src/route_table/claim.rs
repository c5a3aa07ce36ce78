//! ADD: claims an address of each pool and waits until it is seen to be no other owner's.
//!
//! Record → route → wait → look again, for all pools at once, so there is one wait. A claim that turns
//! out to be another's is withdrawn and the next address tried; one that was asked for is refused.

mod stage;

use std::cell::RefCell;
use std::net::IpAddr;
use std::time::{Duration, Instant, SystemTime};

use super::config::Ipam;
use super::contest::{Contest, Evidence, Taker, evidence};
use super::liar::{Answers, Whereabouts};
use super::owners::{Owner, Owners};
use super::release::give_back;
use super::search::{self, Candidate, Search, taken};
use super::wire::{self, Asked, Questions};
use crate::cni::result::Ip;
use crate::cni::{CniError, CniResult, Code, Request};
use crate::exec::System;
use crate::ip::batch::{self, OnError};
use crate::ip::route::{Lookup, Route};
use crate::ip::stderr::Kind;
use crate::ip::{IfName, Netns, Program, route};
use crate::ops::{journal, outcome};
use crate::plan::{Observed, Read, Side};
use crate::session::Session;
use crate::session::line::{Line, Outcome};
use crate::store::boot_id;
use stage::{Claim, State, add_route, undo};

/// Claims addresses.
///
/// # Errors
/// Why none could be claimed; nothing is claimed then, or the details say what is.
pub fn add(
    system: &System,
    request: &Request,
    ipam: &Ipam,
    deadline: Instant,
) -> Result<CniResult, CniError> {
    let journal = journal(&ipam.log_file, request, &request.name, "");
    let claims = Claims {
        system,
        session: super::session(system, &journal),
        request,
        ipam,
        owners: Owners::new(&ipam.data_dir),
        boot: boot_id(),
        deadline,
        answers: RefCell::default(),
    };
    let made = claims.run();
    journal.end(&outcome(&made));
    made
}

/// One ADD, with everything it needs at hand.
struct Claims<'a> {
    system: &'a System,
    session: Session<'a>,
    request: &'a Request,
    ipam: &'a Ipam,
    owners: Owners,
    boot: String,
    deadline: Instant,
    answers: RefCell<Answers>,
}

impl Claims<'_> {
    fn run(&self) -> Result<CniResult, CniError> {
        self.start_early();
        self.refuse_second()?;
        let name = self.request.pod().unwrap_or_else(|| self.request.id());
        let search = |pool| Search::new(pool, self.ipam, &name, self.deadline);
        let mut open: Vec<Search<'_>> = self.ipam.pools.iter().map(search).collect();
        let mut claims: Vec<Claim> = Vec::new();
        match self.settle(&mut open, &mut claims) {
            Ok(()) => Ok(self.result(&claims)),
            Err(error) => {
                let error = self.in_time(error);
                Err(self.withdraw(&mut claims, error))
            }
        }
    }

    /// Starts the processes that look for an address and claim it, which need not be waited for then.
    fn start_early(&self) {
        for _ in 0..2 {
            let argv = batch::argv(&Netns::Own, (Program::Ip, None), OnError::Continue);
            self.system.open(argv);
        }
    }

    /// A process that was ended because the time was over says so of itself, which is not what happened.
    fn in_time(&self, error: CniError) -> CniError {
        match error.code == Code::COMMAND_FAILED && Instant::now() >= self.deadline {
            true => self.out_of_time().and(&error.msg),
            false => error,
        }
    }

    /// Claims until every pool has one that stands; each round waits once.
    fn settle(&self, open: &mut Vec<Search<'_>>, claims: &mut Vec<Claim>) -> Result<(), CniError> {
        while !open.is_empty() {
            if Instant::now() + self.ipam.propagation >= self.deadline {
                return Err(self.out_of_time());
            }
            let before = claims.len();
            search::prepare(open, &self.session, &self.owners)?;
            for search in open.iter_mut() {
                claims.push(self.take(search)?);
            }
            let all = claims.iter().filter(|claim| claim.is_open());
            let all: Vec<IpAddr> = all.map(Claim::address).collect();
            let round = &mut claims[before..];
            let (contested, seen) = self.make(round, &all)?;
            for ((claim, contested), search) in round.iter_mut().zip(contested).zip(open.iter_mut())
            {
                let evidence = match contested {
                    Some(route) => Evidence::Taken(Taker::told(route)),
                    None => self.evidence(claim, &all, &seen)?,
                };
                self.judge(claim, evidence, search)?;
            }
            let stands = |search: &Search<'_>| {
                let of_it = |claim: &&Claim| search.pool().range(claim.address()).is_some();
                claims
                    .iter()
                    .filter(of_it)
                    .any(|claim| claim.state == State::Stands)
            };
            open.retain(|search| !stands(search));
        }
        Ok(())
    }

    /// Keeps a claim, or withdraws it so that the next address can be tried.
    fn judge(
        &self,
        claim: &mut Claim,
        evidence: Evidence,
        search: &mut Search<'_>,
    ) -> Result<(), CniError> {
        let address = claim.address();
        match evidence {
            Evidence::Alone => claim.state = State::Stands,
            Evidence::Unseen => return Err(self.unseen(claim)),
            Evidence::Taken(who) if search.wanted().is_some() => {
                return Err(taken(address, &self.shown(&who, &claim.route.dev)));
            }
            Evidence::Taken(who) => {
                let journal = self.session.journal;
                journal.remark(&format!("{address} is taken: {}", who.shown));
                // As any undoing: whatever comes meanwhile.
                let uninterruptible = self.system.uninterruptible();
                let left = self.take_back(&self.session.with(&uninterruptible), claim);
                if !left.is_empty() {
                    return Err(taken(address, &who.shown).and(&left.join("; ")));
                }
                self.go_on(claim, who, search)?;
            }
        }
        Ok(())
    }

    /// After an address that is taken: finds out which others are not worth a claim, and who says so.
    fn go_on(&self, claim: &Claim, who: Taker, search: &mut Search<'_>) -> Result<(), CniError> {
        let mut answers = self.answers.borrow_mut();
        if let Some(mac) = &who.mac {
            answers.note(mac, &claim.route.dev, claim.address());
        }
        if Instant::now() + self.ipam.propagation >= self.deadline {
            // What cannot end in time is not begun: the next round says so.
            return Ok(());
        }
        let sifted = search.sift(
            self.system,
            &self.session,
            self.ipam,
            &self.owners,
            &mut answers,
        );
        match answers.tell_of_a_liar() {
            true => Err(answers.error(&self.whereabouts())),
            false => sifted.map_err(|error| error.and(&answers.shown(&self.whereabouts()))),
        }
    }

    /// Who has an address, with where that is.
    fn shown(&self, who: &Taker, dev: &IfName) -> String {
        match &who.mac {
            Some(mac) => format!("{}; it is {}", who.shown, self.whereabouts().of(mac, dev)),
            None => who.shown.clone(),
        }
    }

    fn whereabouts(&self) -> Whereabouts<'_> {
        Whereabouts {
            system: self.system,
            session: &self.session,
            attachments: self.ipam.attachments.as_deref(),
            owners: Some(&self.owners),
        }
    }

    /// Takes the next free address on this node: the record comes before the route.
    fn take(&self, search: &mut Search<'_>) -> Result<Claim, CniError> {
        loop {
            let Candidate { address, dev } = search.next(&self.session, self.ipam, &self.owners)?;
            let route = Route {
                metric: Some(self.ipam.metric),
                protocol: Some(self.ipam.protocol),
                table: self.ipam.table,
                ..Route::new(address.into(), None, &dev)
            };
            if self.owners.take(&self.owner(route.clone()))? {
                let state = State::Recorded;
                return Ok(Claim { route, state });
            }
            if search.wanted().is_some() {
                let who = self.owners.holder(address);
                let who = who.map_or("an attachment on this node".to_owned(), |owner| {
                    owner.shown()
                });
                return Err(taken(address, &who));
            }
        }
    }

    fn owner(&self, route: Route) -> Owner {
        Owner {
            name: self.request.name.clone(),
            container: self.request.container.clone(),
            ifname: self.request.ifname.clone(),
            pod: self.request.pod(),
            boot: self.boot.clone(),
            since: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
            route,
        }
    }

    /// Adds the routes, asks the wire, waits, and looks what is to be seen then, in one process. Tells of each claim
    /// what was in its way: a route that is there already is another's claim, any other failure is one.
    fn make(
        &self,
        round: &mut [Claim],
        all: &[IpAddr],
    ) -> Result<(Vec<Option<String>>, Observed), CniError> {
        let outcome = self.claim_and_look(round, all).inspect_err(|_| {
            // How far it came is unknown; removing what was not added does no harm.
            round
                .iter_mut()
                .for_each(|claim| claim.state = State::Routed);
        })?;
        if let Some(failed) = outcome.gave_up() {
            round
                .iter_mut()
                .for_each(|claim| claim.state = State::Routed);
            return Err(failed.error("an address cannot be claimed"));
        }
        let mut contested = Vec::new();
        let mut failures = outcome.failures;
        for claim in round {
            let own = route::add(&claim.route).to_string();
            let failed = failures.iter().position(|failed| failed.command == own);
            match failed.map(|index| failures.swap_remove(index)) {
                Some(failed) if failed.failure.kind() == Kind::Exists => {
                    contested.push(Some(failed.failure.message));
                }
                Some(failed) => failures.push(failed),
                None => {
                    claim.state = State::Routed;
                    contested.push(None);
                }
            }
        }
        match failures.first() {
            Some(failed) => Err(failed.error("an address cannot be claimed")),
            None => Ok((contested, outcome.seen)),
        }
    }

    fn claim_and_look(&self, round: &[Claim], all: &[IpAddr]) -> Result<Outcome, CniError> {
        let session = &self.session;
        let table =
            |claim: &Claim| Line::Read(Read::Lookup(Side::Host, Lookup::to(claim.address())));
        let after: Vec<Line> = round.iter().map(table).collect();
        let mut lines: Vec<Line> = round.iter().map(add_route).collect();
        let (system, wait) = (self.system, self.ipam.propagation);
        if !wire::is_asked(self.ipam) {
            return session.run_paced(vec![(Duration::ZERO, lines), (wait, after)]);
        }
        let asked: Vec<Asked> = round.iter().map(|claim| claim.asked(all)).collect();
        // All beacons are up before the first question: of two that claim at the same moment, one sees the other.
        let hold = |asked: &Asked| wire::hold(session, asked.address, &asked.dev, self.ipam);
        lines.extend(asked.iter().map(hold));
        let questions = Questions {
            asked: &asked,
            times: wire::TIMES,
            wait,
            deadline: self.deadline,
        };
        wire::run_and_ask(session, system, lines, questions, &after)
    }

    /// What is seen of a claim; where another node makes one too, which of them keeps the address.
    fn evidence(
        &self,
        claim: &Claim,
        all: &[IpAddr],
        seen: &Observed,
    ) -> Result<Evidence, CniError> {
        let rival = match evidence(&claim.route, self.ipam, seen) {
            Err(rival) => rival,
            Ok(settled) => return Ok(settled),
        };
        let contest = Contest {
            system: self.system,
            session: &self.session,
            ipam: self.ipam,
            route: &claim.route,
            asked: claim.asked(all),
            deadline: self.deadline,
        };
        contest.settle(rival)
    }

    /// Removes a claim's route and record; tells what could not be removed. A record stays with its route.
    fn take_back(&self, session: &Session<'_>, claim: &mut Claim) -> Vec<String> {
        let Request {
            container, ifname, ..
        } = self.request;
        let mut left = session.remove(undo(claim));
        if left.is_empty() {
            let freed = self.owners.give_back(container, ifname, claim.address());
            left.extend(freed.err().map(|error| error.to_string()));
        }
        if left.is_empty() {
            claim.state = State::GivenUp;
        }
        left
    }

    /// Withdraws everything after a failure, whatever comes meanwhile.
    fn withdraw(&self, claims: &mut [Claim], error: CniError) -> CniError {
        let uninterruptible = self.system.uninterruptible();
        let session = self.session.with(&uninterruptible);
        let open = claims.iter_mut().filter(|claim| claim.is_open());
        let left: Vec<String> = open
            .flat_map(|claim| self.take_back(&session, claim))
            .collect();
        error.and_left(&left)
    }

    /// An owner has one address of each pool. What is left from an earlier boot, or cut short, is given
    /// back as a DEL would: with its route, where it still has one.
    fn refuse_second(&self) -> Result<(), CniError> {
        let Request {
            container, ifname, ..
        } = self.request;
        for held in self.owners.held_by(container, ifname)? {
            match &held.owner {
                Some(owner) if owner.boot == self.boot => {
                    let msg = format!(
                        "{} has the address {} already, since {}",
                        owner.shown(),
                        held.address,
                        owner.since
                    );
                    return Err(CniError::new(Code::INVALID_ENVIRONMENT, msg)
                        .details("a DEL has to come before another ADD"));
                }
                _ => give_back(&self.session, &self.owners, self.request, self.ipam, &held)?,
            }
        }
        Ok(())
    }

    fn unseen(&self, claim: &Claim) -> CniError {
        let msg = format!(
            "the claim of {} does not show where the kernel looks",
            claim.address()
        );
        CniError::new(Code::FACTS_DO_NOT_HOLD, msg).details(format!(
            "`{}` shows what does; the route was removed, or no rule leads to table {}",
            route::lookup(&Lookup::to(claim.address())),
            self.ipam.table
        ))
    }

    fn out_of_time(&self) -> CniError {
        let msg = format!(
            "no claim stood alone within requestTimeoutMs {}",
            self.ipam.request.as_millis()
        );
        let error = CniError::new(Code::TRY_AGAIN, msg)
            .details("every address tried was taken; the journal tells which: logFile");
        error.and(&self.answers.borrow().shown(&self.whereabouts()))
    }

    fn result(&self, claims: &[Claim]) -> CniResult {
        let ip = |pool: &super::pool::Pool| {
            let of_it = |claim: &&Claim| pool.range(claim.address()).is_some();
            let mut of_it = claims.iter().filter(of_it);
            let claim = of_it.find(|claim| claim.state == State::Stands)?;
            let (address, gateway) = pool.lease(claim.address())?;
            Some(Ip {
                address,
                gateway,
                interface: None,
            })
        };
        CniResult {
            ips: self.ipam.pools.iter().filter_map(ip).collect(),
            routes: self.ipam.routes.clone(),
            dns: self.ipam.dns.clone(),
            ..CniResult::default()
        }
    }
}
