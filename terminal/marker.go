package terminal

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// markerName is the variable that every process of a session inherits. Its
// value is the session's alone, and names what must be ended with it: the
// Engine has no word for it.
const markerName = "MOORGATE_SESSION"

// newID makes 26 lower-case letters and digits that nobody can guess.
func newID() string {
	var raw [16]byte
	rand.Read(raw[:]) //nolint:errcheck // it never fails
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(raw[:]))
}

// markedScript lists the processes that belong to a marker: those that carry
// it, and those in the terminal sessions that these lead, which have it too but
// may hide it, such as after su. Zombies are gone already. $1 is the marker; the
// script's own processes carry none. It takes nothing but the shell's own
// commands and sleep: read leaves the NULs out, where greps differ.
const markedScript = `carries() {
	while read -r l || [ -n "$l" ]; do case "$l" in *"$m"*) return 0;; esac; done 2>/dev/null <"/proc/$1/environ"
	return 1
}
marked() {
	mine=" "; sids=" "; all=
	for f in /proc/[0-9]*; do
		p=${f#/proc/}; l=
		read -r l 2>/dev/null <"$f/stat" || continue
		set -- ${l##*) }
		if [ "$1" = Z ] || [ "$1" = X ]; then continue; fi
		all="$all $p:$4"
		if carries "$p"; then mine="$mine$p "; if [ "$4" = "$p" ]; then sids="$sids$p "; fi; fi
	done
	pids=
	for f in $all; do
		case "$mine" in *" ${f%:*} "*) pids="$pids ${f%:*}"; continue;; esac
		case "$sids" in *" ${f#*:} "*) pids="$pids ${f%:*}";; esac
	done
}
m=$1
[ -r /proc/self/stat ] || { echo "error the container has no /proc"; exit 1; }
`

// endScript ends what belongs to a marker: HUP, and KILL for what is there
// still after 3 s. It prints a line for each process that survived. Looking at
// all processes takes a while where there are many, so it is done again only
// when those that were found are gone.
const endScript = markedScript + `
alive() {
	for p in $pids; do
		l=; read -r l 2>/dev/null <"/proc/$p/stat" || continue
		case "${l##*) }" in Z*|X*) ;; *) return 0;; esac
	done
	return 1
}
end() {
	[ -n "$pids" ] || { echo done; exit 0; }
	kill -s "$1" $pids 2>/dev/null
	kill -s CONT $pids 2>/dev/null
}
marked; end HUP
i=0
while [ $i -lt 30 ]; do
	sleep 0.1 2>/dev/null || { sleep 1; i=$((i+9)); }
	i=$((i+1))
	alive || { marked; end HUP; }
done
for i in 1 2 3 4 5 6; do
	marked; end KILL
	sleep 0.1 2>/dev/null || sleep 1
done
for p in $pids; do
	l=; read -r l 2>/dev/null <"/proc/$p/comm" && echo "left $p $l"
done
echo done
`

// signalScript sends $2 to what belongs to a marker.
const signalScript = markedScript + `
marked; [ -n "$pids" ] && kill -s "$2" $pids 2>/dev/null
echo done
`

// marked is the processes of a session in a container.
type marked struct {
	container string // its id
	marker    string
	user      string // as whom the session's command ran
}

// endTimeout is for endScript: 3 s for HUP, and what KILL and a busy machine
// take.
const endTimeout = 15 * time.Second

// end ends the processes, and says in words what goes on nevertheless. None is
// left in a container that is gone or stands still.
func (k marked) end(ctx context.Context, e *engine) (survived []string) {
	ctx, cancel := context.WithTimeout(ctx, endTimeout)
	defer cancel()
	out, err := k.run(ctx, e, endScript)
	var known *Error
	switch {
	case errors.As(err, &known) && known.Status == http.StatusNotFound:
		return nil
	case errors.As(err, &known) && known.Status == http.StatusConflict: // not running, or paused
		if state, err := inspectContainer(ctx, e, k.container); err == nil && state.State.Paused {
			return []string{"what runs in the container: it is paused"}
		}
		return nil
	case err != nil:
		return []string{fmt.Sprintf("what was started and has not ended by itself: %v", err)}
	}
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		if p, ok := strings.CutPrefix(line, "left "); ok {
			survived = append(survived, "process "+p)
		} else if why, ok := strings.CutPrefix(line, "error "); ok {
			return []string{"what was started and has not ended by itself: " + why}
		}
	}
	if !strings.HasSuffix(strings.TrimSpace(out), "done") {
		if c, err := inspectContainer(ctx, e, k.container); missing(err) || err == nil && !c.State.Running {
			return nil
		}
		return []string{"what was started and has not ended by itself: the image has no shell to end it with"}
	}
	return survived
}

// signal sends a signal to the processes.
func (k marked) signal(ctx context.Context, e *engine, name string) error {
	ctx, cancel := context.WithTimeout(ctx, endTimeout)
	defer cancel()
	out, err := k.run(ctx, e, signalScript, name)
	if err != nil {
		return err
	}
	if why, ok := strings.CutPrefix(strings.TrimSpace(out), "error "); ok {
		return newError(http.StatusConflict, "", "the signal was not sent: %s", why)
	}
	if strings.TrimSpace(out) != "done" {
		return newError(http.StatusConflict, "", "the signal was not sent: the image has no shell to send it with")
	}
	return nil
}

// run runs a script about the marker, as the session's user, and gives what it
// wrote.
func (k marked) run(ctx context.Context, e *engine, script string, args ...string) (string, error) {
	var made struct{ Id string }
	err := e.call(ctx, http.MethodPost, "/containers/"+pathOf(k.container)+"/exec", nil, execConfig{
		AttachStdout: true,
		AttachStderr: true,
		User:         k.user,
		Cmd:          append([]string{"sh", "-c", script, "sh", markerName + "=" + k.marker}, args...),
	}, &made)
	if err != nil {
		return "", err
	}
	s, err := e.hijack(ctx, "/exec/"+pathOf(made.Id)+"/start", nil, execStart{}, false)
	if err != nil {
		return "", err
	}
	defer s.Close()
	if at, ok := ctx.Deadline(); ok {
		s.SetDeadline(at)
	}
	var out strings.Builder
	for out.Len() < maxAnswer {
		p, kind, err := s.next()
		if err == io.EOF {
			break
		} else if err != nil {
			return "", away(ctx, err)
		}
		if kind == Stdout {
			out.Write(p)
		}
	}
	return out.String(), nil
}

// signals are those that may be sent by name.
var signals = []string{
	"HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM",
	"TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF",
	"WINCH", "IO", "PWR", "SYS",
}

// knownSignal gives the name of a signal without SIG, "" if there is none.
func knownSignal(name string) string {
	name = strings.TrimPrefix(strings.ToUpper(name), "SIG")
	if !slices.Contains(signals, name) {
		return ""
	}
	return name
}

// signalOf gives the name of the signal that an exit code tells of, "" if it
// does not.
func signalOf(code int) string {
	if code > 128 && code-128 <= len(signals) {
		return signals[code-129]
	}
	return ""
}
