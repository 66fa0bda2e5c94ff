//! Puts steps into an order in which every step follows those it needs, and finds circles. Iterative, because a
//! chain of steps may be as long as the file.

use super::Compiler;
use super::step::Resolved;
use crate::diag::{Diagnostic, SHOWN, Span};
use crate::plan::{InputFrom, Plan, Step};

/// How many steps of a circle are named before its last one.
const NAMED: usize = 4;

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    /// On the path that is being followed.
    Open,
    Done,
}

/// A step on the path that is being followed.
struct Frame {
    instance: u32,
    /// Its place in [`Search::steps`].
    place: u32,
    before: Vec<u32>,
    next: usize,
}

struct Search<'c, 'a> {
    compiler: &'c Compiler<'a>,
    states: Vec<State>,
    path: Vec<Frame>,
    /// The steps as they were found; nothing when they are only checked.
    steps: Option<Vec<Step>>,
    /// For each of `steps`, its place in the plan.
    places: Vec<u32>,
    /// The place in the plan of each instance that has one.
    index_of: Vec<Option<u32>>,
    placed: u32,
    /// Instances on a circle that was reported. Others through them would say the same again.
    circular: Vec<bool>,
    circles: usize,
}

impl<'a> Compiler<'a> {
    /// The steps that `roots` need, themselves included, and the place of each instance among them. Without
    /// `keep`, the steps are checked and dropped, and every instance has a place.
    pub(super) fn order(&self, roots: &[u32], keep: bool) -> (Plan, Vec<Option<u32>>) {
        let count = self.steps.owner.len();
        let mut search = Search {
            compiler: self,
            states: vec![State::New; count],
            path: Vec::new(),
            steps: keep.then(|| Vec::with_capacity(roots.len())),
            places: Vec::new(),
            index_of: vec![None; count],
            placed: 0,
            circular: vec![false; count],
            circles: 0,
        };
        roots.iter().for_each(|root| search.visit(*root));
        let Search { steps, places, index_of, .. } = search;
        let mut steps = steps.unwrap_or_default();
        permute(&mut steps, places);
        steps.iter_mut().for_each(|step| place(step, &index_of));
        steps.shrink_to_fit();
        let plan = Plan {
            name: "pipeline".to_owned(),
            sources: Vec::new(),
            steps,
            targets: Vec::new(),
            outputs: Vec::new(),
            images: Vec::new(),
            platform: None,
        };
        (plan, index_of)
    }
}

impl Search<'_, '_> {
    /// Gives a place to everything that `root` needs and that has none, and to `root` last.
    fn visit(&mut self, root: u32) {
        self.open(root);
        while let Some(frame) = self.path.last_mut() {
            if let Some(&before) = frame.before.get(frame.next) {
                frame.next += 1;
                match self.states[before as usize] {
                    State::New => self.open(before),
                    State::Open => self.circle(before),
                    State::Done => {}
                }
            } else if let Some(frame) = self.path.pop() {
                self.states[frame.instance as usize] = State::Done;
                self.index_of[frame.instance as usize] = Some(self.placed);
                if let Some(place) = self.places.get_mut(frame.place as usize) {
                    *place = self.placed;
                }
                self.placed += 1;
            }
        }
    }

    fn open(&mut self, instance: u32) {
        if self.states[instance as usize] != State::New {
            return;
        }
        self.states[instance as usize] = State::Open;
        let Resolved { step, before } = self.compiler.resolve(instance);
        let place = self.places.len() as u32;
        if let Some(steps) = &mut self.steps {
            steps.push(step);
            self.places.push(0);
        }
        self.path.push(Frame { instance, place, before, next: 0 });
    }

    /// Reports the circle that the path closes at `start`.
    fn circle(&mut self, start: u32) {
        let last = self.path.last().map_or(start, |frame| frame.instance);
        let known = self.circular[start as usize] || self.circular[last as usize];
        if known || self.circles >= SHOWN {
            return;
        }
        self.circles += 1;
        let from = self.path.iter().rposition(|frame| frame.instance == start).unwrap_or_default();
        let mut members: Vec<u32> = self.path[from..].iter().map(|frame| frame.instance).collect();
        members.iter().for_each(|member| self.circular[*member as usize] = true);
        let first = (0..members.len()).min_by_key(|place| members[*place]).unwrap_or_default();
        members.rotate_left(first);
        self.compiler.report_circle(&members);
    }
}

impl Compiler<'_> {
    fn report_circle(&self, members: &[u32]) {
        let span = |instance: u32| -> Span { self.steps.of(instance).0.key.span() };
        let mut names: Vec<String> = members.iter().take(NAMED).map(|m| self.steps.name(*m)).collect();
        if members.len() > NAMED + 1 {
            names.push(format!("… ({} more)", members.len() - NAMED - 1));
        }
        if members.len() > NAMED {
            names.push(self.steps.name(members[members.len() - 1]));
        }
        names.push(self.steps.name(members[0]));
        let message = format!("steps need each other in a circle: {}", names.join(" → "));
        let mut problem = Diagnostic::error(span(members[0]), message);
        for pair in members.windows(2).take(NAMED - 1) {
            if span(pair[0]) != span(pair[1]) {
                let text = format!("needed by `{}`", self.steps.name(pair[0]));
                problem = problem.label(span(pair[1]), text);
            }
        }
        self.cx.sink.push(problem.help("take one of these inputs or needs away".to_owned()));
    }
}

/// Puts every step where `places` says, without a second copy of them.
fn permute(steps: &mut [Step], mut places: Vec<u32>) {
    for at in 0..steps.len() {
        while places[at] as usize != at {
            let place = places[at] as usize;
            steps.swap(at, place);
            places.swap(at, place);
        }
    }
}

/// Turns instances into places in the plan.
fn place(step: &mut Step, index_of: &[Option<u32>]) {
    // An instance without a place is part of a circle, and then there is no plan.
    let index = |instance: u32| index_of[instance as usize].unwrap_or_default();
    for input in &mut step.inputs {
        if let InputFrom::Output(output) = &mut input.from {
            output.step = index(output.step);
        }
    }
    step.needs.iter_mut().for_each(|need| *need = index(*need));
    step.needs.sort_unstable();
}

/// The places in the plan of what each target means.
pub(super) fn places(targets: &[Vec<u32>], index_of: &[Option<u32>]) -> Vec<Vec<u32>> {
    let of_one = |target: &Vec<u32>| {
        let mut places: Vec<u32> =
            target.iter().filter_map(|instance| index_of[*instance as usize]).collect();
        places.sort_unstable();
        places
    };
    targets.iter().map(of_one).collect()
}
