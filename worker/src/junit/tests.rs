use super::*;

fn failure(suite: &str, name: &str, message: &str) -> TestFailure {
    TestFailure { suite: suite.to_owned(), name: name.to_owned(), message: message.to_owned() }
}

#[test]
fn pytest() {
    let xml = br#"<?xml version="1.0" encoding="utf-8"?>
<testsuites name="pytest tests"><testsuite name="pytest" errors="1" failures="1" skipped="1" tests="4" time="0.04">
<testcase classname="tests.test_math" name="test_ok" time="0.001" />
<testcase classname="tests.test_math" name="test_add[1-&lt;x&gt;]" time="0.001"><failure message="assert 1 == 2&#10; +  where 1 = add()">def test_add():
&gt;       assert 1 == 2</failure></testcase>
<testcase classname="tests.test_math" name="test_skip"><skipped type="pytest.skip" message="later">tests/test_math.py:9: later</skipped></testcase>
<testcase classname="tests.test_db" name="test_fixture"><error message="failed on setup with &quot;OSError&quot;">trace</error></testcase>
</testsuite></testsuites>"#;
    let report = parse_junit(xml).unwrap();
    assert_eq!((report.tests, report.failed, report.skipped), (4, 2, 1));
    let expected = [
        failure("tests.test_math", "test_add[1-<x>]", "assert 1 == 2"),
        failure("tests.test_db", "test_fixture", "failed on setup with \"OSError\""),
    ];
    assert_eq!(report.failures, expected);
}

#[test]
fn nextest() {
    let xml = br#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="nextest-run" tests="3" failures="1" errors="0" uuid="1-2" time="0.1">
    <testsuite name="app" tests="2" disabled="0" errors="0" failures="1">
        <testcase name="parse::tests::empty" classname="app" time="0.004">
            <failure type="test failure with exit code 101">thread &apos;parse::tests::empty&apos; panicked at src/parse.rs:3:5:
boom</failure>
            <system-out>running 1 test</system-out>
        </testcase>
        <testcase name="flaky" classname="app"><flakyFailure type="x">once</flakyFailure></testcase>
    </testsuite>
    <testsuite name="app::cli"><testcase name="help" classname="app::cli"><system-err/></testcase></testsuite>
</testsuites>"#;
    let report = parse_junit(xml).unwrap();
    assert_eq!((report.tests, report.failed, report.skipped), (3, 1, 0));
    let message = "thread 'parse::tests::empty' panicked at src/parse.rs:3:5:";
    assert_eq!(report.failures, [failure("app", "parse::tests::empty", message)]);
}

#[test]
fn ctest() {
    let xml = br#"<?xml version="1.0" encoding="UTF-8"?>
<testsuite name="Linux-c++" tests="3" failures="1" disabled="0" skipped="1" hostname="" time="0">
	<testcase name="inflate" classname="inflate" time="0.01" status="run"><properties/><system-out>ok</system-out></testcase>
	<testcase name="deflate" classname="deflate" time="0.01" status="fail">
		<failure message=""><![CDATA[

  Segmentation fault <core>
more]]></failure>
	</testcase>
	<testcase name="big" classname="big" status="notrun"><skipped message="SKIP_RETURN_CODE=77"/></testcase>
</testsuite>"#;
    let report = parse_junit(xml).unwrap();
    assert_eq!((report.tests, report.failed, report.skipped), (3, 1, 1));
    assert_eq!(report.failures, [failure("Linux-c++", "deflate", "Segmentation fault <core>")]);
}

#[test]
fn reports_add_up() {
    let xml = b"<testsuite><testcase name='a'><failure/></testcase></testsuite>";
    let mut report = parse_junit(xml).unwrap();
    report.add(parse_junit(xml).unwrap());
    assert_eq!((report.tests, report.failed, report.failures.len()), (2, 2, 2));
}

#[test]
fn what_is_no_report_is_said() {
    assert!(matches!(parse_junit(b""), Err(JunitError::Empty)));
    assert!(matches!(parse_junit(b" \n"), Err(JunitError::Empty)));
    assert!(matches!(parse_junit(b"<html></html>"), Err(JunitError::Other(name)) if name == "html"));
    assert!(matches!(parse_junit(b"<testsuite></testcase>"), Err(JunitError::Malformed { .. })));
    for cut in
        ["<testsuite><testcase name='a'>", "<testsuite><testcase name='a", "<testsuite><testcase/></tests"]
    {
        let error = parse_junit(cut.as_bytes()).unwrap_err();
        assert!(matches!(error, JunitError::Truncated), "{cut}: {error:?}");
    }
}

#[test]
fn hostile_reports_cost_little() {
    let deep = "<testsuite>".repeat(100_000);
    assert!(matches!(parse_junit(deep.as_bytes()), Err(JunitError::TooDeep)));
    let large = vec![b' '; MAX_REPORT_BYTES + 1];
    assert!(matches!(parse_junit(&large), Err(JunitError::TooLarge { .. })));
    let bomb = "<!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;'>]>\
                <testsuite><testcase name='&b;'><failure>&b;&unknown;</failure></testcase></testsuite>";
    let report = parse_junit(bomb.as_bytes()).unwrap();
    assert_eq!(report.failures, [failure("", "&b;", "&b;&unknown;")]);
    let many = format!(
        "<testsuite>{}</testsuite>",
        format!("<testcase name='{0}'><failure message='{0}'/></testcase>", "x".repeat(1000)).repeat(1000)
    );
    let report = parse_junit(many.as_bytes()).unwrap();
    assert_eq!((report.failed, report.failures.len()), (1000, MAX_FAILURES));
    assert!(report.failures[0].message.chars().count() <= MAX_TEXT_CHARS + 1);
    assert_eq!(parse_junit(b"<testsuite name='\xff'><testcase/></testsuite>").unwrap().tests, 1);
}
