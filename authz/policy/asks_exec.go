package policy

import (
	"strconv"
	"strings"

	"moorgate/router"
)

var (
	execCreate = &term{members: all(free, `User Tty ConsoleSize AttachStdin AttachStderr AttachStdout DetachKeys Env
		WorkingDir Cmd Detach Container`).with(terms{
		"Privileged": by(func(j *asks, _ string, v router.Value) *refusal {
			if !v.Bool() || j.role.exec.Privileged {
				return nil
			}
			return refuse("exec.privileged", "a privileged command has all of the host: run it without --privileged")
		}),
	})}
	execStart = &term{members: all(free, "Detach Tty ConsoleSize hijack stdin")}
)

// execUser judges who a command runs as. A name means whom the container's own
// /etc/passwd says, which only the Engine reads.
func (j *asks) execUser() *refusal {
	allowed := j.role.exec.Users
	if j.call.Action != "exec.create" || allowed == nil {
		return nil
	}
	text := j.call.Body.Root().Get("User").Str()
	user := sameUser(text)
	for _, entry := range allowed {
		if entry == "*" {
			return nil
		}
		if own, ok := j.expand(entry); ok && sameUser(own) == user {
			return nil
		}
	}
	if text == "" {
		return refuse("exec.users", "commands may not run as the image's own user: say who, as docker exec -u %s", strings.Join(j.expandAll(allowed), " or "))
	}
	return refuse("exec.users", "%.64q is not among the users that commands may run as%s: use one of them", text, j.listed(allowed))
}

// sameUser gives all spellings of one user and group one: the Engine reads
// 00, +0 and 0 alike.
func sameUser(text string) string {
	user, group, _ := strings.Cut(text, ":")
	if group = number(group); group != "" {
		group = ":" + group
	}
	return number(user) + group
}

func number(text string) string {
	if n, err := strconv.Atoi(text); err == nil {
		return strconv.Itoa(n)
	}
	return text
}
