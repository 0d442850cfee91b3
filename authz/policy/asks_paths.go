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
	text = path.Clean(text)
	for _, entry := range entries {
		pattern, ro := strings.CutSuffix(entry, ":ro")
		pattern = strings.TrimSuffix(pattern, ":rw")
		if (ok && ro) || !j.matchPath(pattern, text) {
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

// component takes the first one off a path; "" where there is none.
func component(text string) (first, rest string) {
	for text != "" && text[0] == '/' {
		text = text[1:]
	}
	if i := strings.IndexByte(text, '/'); i >= 0 {
		return text[:i], text[i:]
	}
	return text, ""
}

// matchPath compares component by component, so that /data2 is not below
// /data. ** at the end is the folder itself and all below it.
func (j *asks) matchPath(pattern, text string) bool {
	for {
		p, after := component(pattern)
		if p == "**" {
			if last, _ := component(after); last == "" {
				return true
			}
		}
		part, below := component(text)
		if p == "" || part == "" {
			return p == part
		}
		own, ok := j.expand(p)
		if !ok || !glob(own, part) {
			return false
		}
		pattern, text = after, below
	}
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
