package terminal

import (
	"fmt"
	"strings"
)

// shellScript runs the first of its arguments that there is. It is one exec: no
// question is asked first whose answer might be another's.
const shellScript = `for s; do if command -v "$s" >/dev/null 2>&1; then exec "$s"; fi; done
echo "moorgate: none of these shells is here: $*" >&2; exit 127`

// shellCommand starts the first of the shells that the image has.
func shellCommand(shells []string) []string {
	return append([]string{"sh", "-c", shellScript, "sh"}, shells...)
}

// What the Engine's exit codes say of commands that did not run.
const (
	exitNotRunnable = 126
	exitNotFound    = 127
)

// notRun says why a command did not run, nil if it did. Programs may exit with
// these codes on their own account, so only little output of the whole session
// makes it one of them.
func notRun(code int, output uint64, cmd []string, shell bool) *Fault {
	if code != exitNotRunnable && code != exitNotFound || output > maxComplaint {
		return nil
	}
	f := &Fault{Code: "not_found", Fatal: false}
	switch {
	case shell:
		f.Code = "no_shell"
		f.Message = "no shell could be started here"
		f.Hint = "see that the user and folder exist; images without a shell, called distroless, have only their own program: name a command that the image has, or attach to its process"
	case code == exitNotFound:
		f.Message = fmt.Sprintf("%s was not found", strings.Join(cmd[:1], ""))
		f.Hint = "see that the image has it; arguments are words of their own, not part of the command's name"
	default:
		f.Code = "not_runnable"
		f.Message = fmt.Sprintf("%s could not be run", strings.Join(cmd[:1], ""))
		f.Hint = "see that it exists, is executable and made for this machine, and that the user and folder exist"
	}
	return f
}

// maxComplaint is the most that an Engine writes about a command that did not
// run.
const maxComplaint = 1 << 10

// environment adds to what the session's caller set what terminals need and the
// image does not set: image is its environment.
func environment(env, image []string, tty bool) []string {
	has := func(lists ...[]string) func(name string) bool {
		return func(name string) bool {
			for _, list := range lists {
				for _, e := range list {
					if strings.HasPrefix(e, name+"=") {
						return true
					}
				}
			}
			return false
		}
	}
	var made []string
	add := func(have bool, e string) {
		if !have {
			made = append(made, e)
		}
	}
	if tty {
		add(has(env)("TERM"), "TERM=xterm-256color") // the Engine's own is plain xterm
		add(has(env, image)("COLORTERM"), "COLORTERM=truecolor")
	}
	all := has(env, image)
	add(all("LANG") || all("LC_ALL") || all("LC_CTYPE"), "LANG=C.UTF-8")
	return append(made, env...)
}
