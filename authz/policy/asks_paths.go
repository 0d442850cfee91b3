package policy

import (
	"path"
	"strings"
)

// hostPath looks for an entry that takes in a path of the host, and says
// whether it is for reading only; one that lets write is preferred.
//
// The path is judged as written. Where it leads through a symbolic link on the
// host, the Engine follows that, and nothing here can see it: moorgate may run
// on another machine. Who may write to a folder that is listed with all below
// it can make such links.
func (j *asks) hostPath(text string, entries []string) (readOnly, ok bool) {
	if !strings.HasPrefix(text, "/") || strings.Contains(text+"/", "/../") || strings.ContainsAny(text, "\x00\\") {
		return false, false
	}
	parts := split(path.Clean(text))
	for _, entry := range entries {
		pattern, ro := strings.CutSuffix(entry, ":ro")
		pattern = strings.TrimSuffix(pattern, ":rw")
		if (ok && ro) || !j.matchPath(split(pattern), parts) {
			continue
		}
		if ok, readOnly = true, ro; !ro {
			return false, true
		}
	}
	return readOnly, ok
}

// split gives the components of a path; of "/" none.
func split(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == '/' })
}

// matchPath compares component by component, so that /data2 is not below
// /data. ** at the end is the folder itself and all below it.
func (j *asks) matchPath(pattern, parts []string) bool {
	for i, p := range pattern {
		if p == "**" && i == len(pattern)-1 {
			return true
		}
		if i == len(parts) {
			return false
		}
		own, ok := j.expand(p)
		if !ok || !glob(own, parts[i]) {
			return false
		}
	}
	return len(pattern) == len(parts)
}

// expand writes the caller's name into a pattern; false where that name would
// mean something else there than itself.
func (j *asks) expand(pattern string) (string, bool) {
	if !strings.Contains(pattern, "${user}") {
		return pattern, true
	}
	user := j.in.who.User
	if user == "" || user == "." || user == ".." || strings.ContainsAny(user, "/*:\\\x00") {
		return "", false
	}
	return strings.ReplaceAll(pattern, "${user}", user), true
}
