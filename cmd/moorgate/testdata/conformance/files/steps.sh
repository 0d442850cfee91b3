# Runs a build and prints its steps and its error, without when each began, went on and ended.
"$@" --progress plain 2>log
code=$?
sed -n -e 's,^#[0-9]* \[,[,p' -e '/^ERROR/p' log | sort -u
exit $code
