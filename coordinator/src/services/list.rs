//! The runs there are, newest first, a page at a time.

use cullet_core::{Run, RunId, State};
use cullet_proto::v1;
use tonic::Status;

use super::summary::summary;
use crate::attempts::parse_run;
use crate::engine::Leading;

/// Runs in one answer, by default and at most.
const USUAL: u32 = 50;
const MOST: u32 = 1000;

/// When a run was submitted, and which it is: newest first.
type Place = (std::cmp::Reverse<u64>, RunId);

fn place(id: RunId, run: &Run) -> Place {
    (std::cmp::Reverse(run.submitted_at()), id)
}

pub(super) fn list(leading: &Leading, request: &v1::ListRunsRequest) -> Result<v1::ListRunsResponse, Status> {
    let after = match &*request.page_token {
        "" => None,
        token => {
            Some(parse(token).ok_or_else(|| Status::invalid_argument("the page token is not one of ours"))?)
        }
    };
    let limit = if request.limit == 0 { USUAL } else { request.limit.min(MOST) };
    Ok(leading.read(|state| page(state, after, limit as usize, &request.tenant)))
}

fn page(state: &State, after: Option<Place>, limit: usize, tenant: &str) -> v1::ListRunsResponse {
    // Operations are no runs of pipelines, and would hide those.
    let wanted = |run: &Run| !run.spec().operation && (tenant.is_empty() || &*run.spec().tenant == tenant);
    let all = state.runs().filter(|(_, run)| wanted(run)).map(|(id, run)| place(id, run));
    let mut places: Vec<Place> = all.filter(|place| after.is_none_or(|after| *place > after)).collect();
    let more = places.len() > limit;
    if more {
        places.select_nth_unstable(limit);
        places.truncate(limit);
    }
    places.sort_unstable();
    let runs = places.iter().filter_map(|(_, id)| Some(summary(*id, state.run(*id)?)));
    let last = places.last().filter(|_| more);
    v1::ListRunsResponse {
        runs: runs.collect(),
        next_page_token: last.map(|(at, id)| format!("{}-{id}", at.0)).unwrap_or_default(),
    }
}

fn parse(token: &str) -> Option<Place> {
    let (at, id) = token.split_once('-')?;
    Some((std::cmp::Reverse(at.parse().ok()?), parse_run(id)?))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use cullet_core::LogCommand;
    use cullet_core::spec::RunSpec;

    use super::*;

    #[test]
    fn pages_hold_each_run_once_newest_first() {
        let mut state = State::default();
        for run in 0..7_u64 {
            let tenant = if run % 2 == 0 { "even" } else { "odd" };
            let spec = RunSpec { tenant: tenant.into(), ..RunSpec::default() };
            let submit = LogCommand::Submit { run: RunId(run.into()), spec: Arc::new(spec), at: run / 2 };
            state.apply(&submit);
        }
        let read = |tenant: &str| {
            let (mut runs, mut after) = (Vec::new(), None);
            loop {
                let page = page(&state, after, 2, tenant);
                assert!(page.runs.len() <= 2);
                runs.extend(page.runs.into_iter().map(|run| (run.submitted_at_ms, run.run)));
                if page.next_page_token.is_empty() {
                    return runs;
                }
                after = Some(parse(&page.next_page_token).unwrap());
            }
        };
        let all = read("");
        assert_eq!(all.len(), 7);
        assert!(all.windows(2).all(|pair| pair[0].0 >= pair[1].0 && pair[0].1 != pair[1].1), "{all:?}");
        assert_eq!((read("even").len(), read("odd").len(), read("x").len()), (4, 3, 0));
        assert_eq!(parse("7"), None);
    }
}
