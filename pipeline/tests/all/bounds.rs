//! Input that is too much of something: a clear answer, soon, without overflowing the stack.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use cullet_pipeline::load;

use crate::support::{check, lines, loaded, plan};

#[track_caller]
fn says(yaml: &str, expected: &str) {
    let began = Instant::now();
    let Err(problems) = load("f", yaml) else { panic!("this must be refused") };
    let said = lines(&problems);
    assert!(said.contains(expected), "said:\n{said}");
    assert!(!problems.render(true).is_empty());
    assert!(began.elapsed() < Duration::from_secs(60), "took {:?}", began.elapsed());
}

#[test]
fn deep_nesting() {
    let n = 100_000;
    let deep = "levels deep";
    says(&"[".repeat(n), deep);
    says(&format!("cullet: 1\nsteps: {}", "[".repeat(n)), deep);
    says(&"{a: ".repeat(n), deep);
    says(&"[{a: ".repeat(n), deep);
    says(&"- ".repeat(n), deep);
    says(&"? ".repeat(n), deep);
    says(&format!("cullet: 1\nsteps: {}{}", "[\n ".repeat(n), "]\n ".repeat(n)), deep);
    let mut block = String::new();
    (0..500).for_each(|level| block.push_str(&format!("{}a:\n", " ".repeat(level))));
    says(&block, deep);
}

#[test]
fn aliases_that_multiply() {
    let mut yaml = "cullet: 1\nsteps:\n  l0: &l0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..20 {
        let aliases = vec![format!("*l{}", level - 1); 10].join(", ");
        let _ = writeln!(yaml, "  l{level}: &l{level} [{aliases}]");
    }
    says(&yaml, "aliases stand for more than 1000000 values");
}

#[test]
fn aliases_that_deepen() {
    let mut yaml = "cullet: 1\nsteps:\n  l0: &l0 [x]\n".to_owned();
    for level in 1..200 {
        let _ = writeln!(yaml, "  l{level}: &l{level} [*l{}]", level - 1);
    }
    says(&yaml, "levels deep");
}

#[test]
fn aliases_that_help() {
    let yaml = "cullet: 1\nsteps:\n  a: { run: x, env: &env { A: b } }\n  c: { run: y, env: *env }\n";
    let plan = plan(yaml, &[], &[]);
    assert_eq!(plan.steps[0].settings.env, plan.steps[1].settings.env);
    assert_eq!(plan.steps[1].settings.env, [("A".to_owned(), "b".to_owned())]);
}

#[test]
fn matrix_of_a_million() {
    let axis: Vec<String> = (0..100).map(|n| n.to_string()).collect();
    let axis = axis.join(", ");
    let yaml =
        format!("cullet: 1\nsteps:\n  s: {{ run: x, matrix: {{ a: [{axis}], b: [{axis}], c: [1, 2] }} }}\n");
    check(&yaml, "3:24: error: the matrix has more than 10000 combinations\n");
}

#[test]
fn matrix_with_a_long_value() {
    let yaml = format!("cullet: 1\nsteps:\n  s: {{ run: x, matrix: {{ a: [{}] }} }}\n", "y".repeat(300));
    check(&yaml, "3:30: error: the values of one combination have more than 200 characters\n");
}

#[test]
fn matrices_that_take_all_of_each_other() {
    let axis: Vec<String> = (0..5000).map(|n| n.to_string()).collect();
    let axis = axis.join(", ");
    let yaml = format!(
        "cullet: 1\nsteps:\n  a: {{ run: x, matrix: {{ n: [{axis}] }}, outputs: {{ o: o }} }}\n  \
         b: {{ run: x, matrix: {{ n: [{axis}] }}, inputs: {{ i: a.o }} }}\n"
    );
    says(&yaml, "more than 2000000 inputs and needs");
}

#[test]
fn expressions_that_nest() {
    says(
        &format!("cullet: 1\nsteps: {{ s: {{ run: \"${{{{ {} }}}}\" }} }}", "(".repeat(100_000)),
        "nest at most 32",
    );
    says(
        &format!("cullet: 1\nsteps: {{ s: {{ run: \"${{{{ {} }}}}\" }} }}", "!".repeat(100_000)),
        "nest at most 32",
    );
}

#[test]
fn a_circle_of_ten_thousand_steps() {
    let n = 10_000;
    let mut yaml = "cullet: 1\nsteps:\n".to_owned();
    (0..n).for_each(|i| {
        let _ = writeln!(yaml, "  s{i}: {{ run: x, needs: [s{}] }}", (i + 1) % n);
    });
    check(
        &yaml,
        "3:3: error: steps need each other in a circle: s0 → s1 → s2 → s3 → … (9995 more) → s9999 → s0; \
         take one of these inputs or needs away\n",
    );
}

#[test]
fn more_problems_than_anyone_reads() {
    let mut yaml = "cullet: 1\nsteps:\n".to_owned();
    (0..20_000).for_each(|i| {
        let _ = writeln!(yaml, "  step{i}: {{ run: \"${{{{ params.a }}}}\", needs: [stpe{i}] }}");
    });
    let problems = load("f", &yaml).expect_err("this must be refused");
    assert_eq!(problems.list().len(), 100);
    assert_eq!(problems.list()[0].span.unwrap().line, 3);
    assert_eq!(problems.omitted(), 40_000 - 100);
    assert!(problems.render(false).ends_with("and 39900 more\n"));
}

#[test]
fn byte_order_mark_and_line_ends() {
    let pipeline = loaded("\u{feff}cullet: 1\r\nsteps:\r\n  a:\r\n    run: |\r\n      one\r\n      two\r\n");
    assert_eq!(pipeline.plan(&[], &[]).unwrap().steps[0].run.arguments()[3], "one\ntwo\n");
    check("\u{feff}cullet: 1\r\nsteps: {}\r\n", "2:1: error: a pipeline needs at least one step\n");
}

fn chain(n: usize) -> String {
    let mut yaml =
        "cullet: 1\nsources: { src: . }\nsteps:\n  s0: { inputs: { .: src }, run: x, outputs: { o: o } }\n"
            .to_owned();
    for i in 1..n {
        let _ = writeln!(
            yaml,
            "  s{i}:\n    inputs: {{ src: src, in: s{}.o }}\n    run: echo {i} > o\n    outputs: {{ o: o }}",
            i - 1
        );
    }
    yaml
}

fn time(yaml: &str, steps: usize) -> Duration {
    let began = Instant::now();
    assert_eq!(plan(yaml, &[], &[]).steps.len(), steps);
    began.elapsed()
}

/// A ratio, and the small one the best of three, so that a busy machine does not decide it. Quadratic work would
/// make it 400.
#[test]
fn a_hundred_thousand_steps_take_twenty_times_as_long_as_five_thousand() {
    let (small, large) = (chain(5_000), chain(100_000));
    let small = (0..3).map(|_| time(&small, 5_000)).min().unwrap();
    let large = time(&large, 100_000);
    let ratio = large.as_secs_f64() / small.as_secs_f64();
    assert!(ratio < 60.0, "{small:?} for 5,000 steps and {large:?} for 100,000: {ratio:.1} times");
}

#[test]
fn a_large_script_in_a_large_matrix() {
    let axis: Vec<String> = (0..2000).map(|n| n.to_string()).collect();
    let script = "y".repeat(1 << 20);
    let yaml =
        format!("cullet: 1\nsteps:\n  a: {{ run: {script}, matrix: {{ n: [{}] }} }}\n", axis.join(", "));
    says(&yaml, "take more than 1024 MiB");
}

#[test]
fn the_same_fault_in_every_instance_of_a_matrix() {
    let axis: Vec<String> = (0..5000).map(|n| n.to_string()).collect();
    let yaml = format!(
        "cullet: 1\n# {}\nsteps:\n  a:\n    matrix: {{ n: [{}] }}\n    run: ${{{{ params.x }}}}\n",
        "y".repeat(1 << 20),
        axis.join(", ")
    );
    check(&yaml, "6:21: error: there is no parameter `x`\n");
}
