//! Several processes, one cache.

use cullet_tests::{Checkout, User};

use super::support::{alive, expect, expect_right_cache, fan, nap, shell, start, until};

#[test]
fn two_runs_of_one_pipeline_at_once_are_both_right() {
    let (user, checkout) = (User::new(), fan("TWO-AT-ONCE"));
    let runs = ["one", "two", "three"].map(|out| (out, start(&user, &checkout, &["run", "--output", out])));
    for (out, run) in runs {
        expect(&run.output(), 0, &["succeeded fan"]);
        shell(checkout.path(), &format!("test -s {out}/final; diff -r one {out}"));
    }
    expect_right_cache(&user, &checkout);
    assert_eq!(user.run(&checkout).executed(), [""; 0]);
}

#[test]
fn a_live_run_keeps_its_cache() {
    let text = "cullet: 1\nsteps:\n  a: { run: 'echo x > o; sleep 1.777', outputs: { o: o } }\n  \
                b: { inputs: { o: a.o }, run: 'sleep 2.7; : NAP; cat o > p', outputs: { p: p } }\n";
    let (user, checkout) = (User::new(), Checkout::of_pipeline(&text.replace("NAP", &nap(10))));
    let run = start(&user, &checkout, &["run"]);
    until("the second step runs", || alive(&nap(10)) > 0);
    expect(&user.cullet(&checkout, ["cache", "clear"]), 3, &["1 other run(s) use the cache", "--force"]);
    expect(&user.cullet(&checkout, ["cache", "gc", "--to", "0"]), 0, &["freed 0 B"]);
    expect(&user.cullet(&checkout, ["cache", "stats"]), 0, &["live runs  1"]);
    // Who insists costs the run its results, and not more.
    expect(&user.cullet(&checkout, ["cache", "clear", "--force"]), 0, &["is empty"]);
    expect(&run.output(), 0, &["succeeded"]);
    expect_right_cache(&user, &checkout);
    user.run(&checkout).assert_success();
    expect(&user.cullet(&checkout, ["cache", "clear"]), 0, &["is empty"]);
    assert_eq!(user.run(&checkout).executed(), ["a", "b"]);
}

#[test]
fn eviction_makes_room_for_a_run_and_never_breaks_it() {
    let text = "cullet: 1\nparams: { n: 0 }\nsteps:\n  \
                a: { run: 'head -c 1500000 /dev/urandom > o; : ${{ params.n }}', outputs: { o: o } }\n  \
                b: { inputs: { o: a.o }, run: 'cat o o > p', outputs: { p: p } }\n  \
                c: { inputs: { p: b.p, o: a.o }, run: 'cat o o > q; cmp p q', outputs: { q: p } }\n\
                outputs: { q: c.q }\n";
    let (user, checkout) = (User::new(), Checkout::of_pipeline(text));
    for round in 0..6 {
        let param = format!("n={round}");
        let arguments = ["--cache-size", "8MB", "--param", &param, "--output", "out"];
        let run = user.run_with(&checkout, arguments);
        run.assert_success();
        assert_eq!(run.executed().len(), 3);
        assert_eq!(user.run_with(&checkout, arguments).executed(), [""; 0], "what was made last is there");
        let bytes: u64 =
            super::support::blobs(&user).iter().map(|blob| std::fs::metadata(blob).unwrap().len()).sum();
        assert!(bytes <= 8_800_000, "{bytes}");
    }
    expect_right_cache(&user, &checkout);
}

#[test]
fn a_bound_below_what_a_run_needs_is_said() {
    let text = "cullet: 1\nsteps: { a: { run: 'head -c 3000000 /dev/urandom > o', outputs: { o: o } } }\n";
    let (user, checkout) = (User::new(), Checkout::of_pipeline(text));
    let run = user.cullet(&checkout, ["run", "--cache-size", "1MB", "--progress", "plain"]);
    let text = super::support::said(&run);
    assert!(text.contains("raise its bound (CULLET_CACHE_SIZE)"), "{text}");
    expect_right_cache(&user, &checkout);
    user.run(&checkout).assert_success();
}
