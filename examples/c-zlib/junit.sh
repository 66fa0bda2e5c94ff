#!/bin/sh
# junit.sh NAME COMMAND...: runs the command as one test case and says in junit.xml how it went.
name=$1
shift
if "$@" > output.txt 2>&1; then
    cases=1 failures=0 failure=
else
    code=$?
    cases=1 failures=1 failure="<failure message=\"exit code $code\"/>"
fi
cat output.txt
cat > junit.xml <<XML
<testsuite name="zlib" tests="$cases" failures="$failures">
  <testcase classname="zlib" name="$name">$failure</testcase>
</testsuite>
XML
exit "${code:-0}"
