//! Explores every reachable state, breadth first, so that a broken invariant is found by a shortest path. States that differ
//! only in their numbering of workers and orders, or in what no later step depends on, are explored once.

use rustc_hash::FxHashMap;

use crate::invariants::{Broken, of_state, of_step};
use crate::steps::{Action, next};
use crate::{Mutant, State};

/// The result of a search.
#[derive(Debug)]
pub struct Found {
    /// The number of reached states.
    pub states: usize,
    /// The first broken invariant and the steps to it. The numbering of workers and orders may change between steps.
    pub broken: Option<(Broken, Vec<Action>)>,
}

/// The states, numbered as the search reached them.
#[derive(Default)]
struct Reached {
    states: Vec<State>,
    numbers: FxHashMap<State, usize>,
    /// For each state, the step that first reached it.
    from: Vec<Option<(usize, Action)>>,
    /// The steps that are not optional, as (from, to).
    edges: Vec<(usize, usize)>,
}

/// Explores all states.
pub fn explore(mutant: Option<Mutant>) -> Found {
    let mut reached = Reached::default();
    reached.number(State::initial().canonical(), None);
    let mut at = 0;
    while at < reached.states.len() {
        let state = reached.states[at].clone();
        for (action, after) in next(&state, mutant) {
            let broken = of_step(&state, action, &after).or_else(|| of_state(&after));
            let number = reached.number(after.canonical(), Some((at, action)));
            if let Some(broken) = broken {
                let mut path = reached.path(at);
                path.push(action);
                return Found { states: reached.states.len(), broken: Some((broken, path)) };
            }
            if !action.is_optional() {
                reached.edges.push((at, number));
            }
        }
        at += 1;
    }
    let stuck = reached.stuck().map(|state| (Broken::OrderCanEnd, reached.path(state)));
    Found { states: reached.states.len(), broken: stuck }
}

impl Reached {
    fn number(&mut self, state: State, from: Option<(usize, Action)>) -> usize {
        let next = self.states.len();
        *self.numbers.entry(state).or_insert_with_key(|state| {
            self.states.push(state.clone());
            self.from.push(from);
            next
        })
    }

    /// The steps that lead to a state.
    fn path(&self, to: usize) -> Vec<Action> {
        let steps = std::iter::successors(self.from[to], |(from, _)| self.from[*from]);
        let mut path: Vec<_> = steps.map(|(_, action)| action).collect();
        path.reverse();
        path
    }

    /// The first state that leaves an order stuck: no sequence of steps ends it.
    fn stuck(&self) -> Option<usize> {
        let has_ended = |state: &State| state.orders.iter().all(|order| order.outcome.is_some());
        let mut can_end: Vec<bool> = self.states.iter().map(has_ended).collect();
        let mut is_changed = true;
        while is_changed {
            is_changed = false;
            // Most steps lead to a state with a higher number, so one pass backwards finds almost all.
            for (from, to) in self.edges.iter().rev() {
                is_changed |= can_end[*to] && !can_end[*from];
                can_end[*from] |= can_end[*to];
            }
        }
        can_end.iter().position(|can_end| !can_end)
    }
}
