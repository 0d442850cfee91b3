package policy

import (
	"encoding/json"
	"strings"
)

// copies judges COPY and ADD: other images that they copy from, and addresses
// that the Engine itself would fetch.
func (s *stages) copies(l line) error {
	all := flags(l.rest)
	if err := plain(all); err != nil {
		return err
	}
	for _, flag := range all {
		name, value, _ := strings.Cut(flag, "=")
		if name != "--from" {
			continue
		}
		if l.keyword == "ADD" || value == "" || strings.ContainsAny(value, "$\"'\\`") {
			return badDockerfile("%s %.128s: write --from=NAME without variables and quotes, in COPY", l.keyword, flag)
		}
		if isIndex(value) || s.names[strings.ToLower(value)] {
			continue
		}
		if err := s.b.allow(value); err != nil {
			return err
		}
	}
	if l.keyword != "ADD" {
		return nil
	}
	return adds(strings.Fields(l.rest)[len(all):])
}

// adds refuses addresses among the sources of ADD, and whatever could become
// one: the Engine takes quotes and escapes out and puts variables in.
func adds(words []string) error {
	var sources []string
	text := strings.Join(words, " ")
	if json.Unmarshal([]byte(text), &sources) != nil || strings.Contains(text, `\`) {
		sources = words
	}
	for _, source := range sources[:max(len(sources)-1, 0)] {
		if strings.ContainsAny(source, "$\\'\"`") {
			return badDockerfile("ADD %.128s could become an address that the Engine itself would fetch: write it without variables, quotes and escapes, or use COPY", source)
		}
		if strings.Contains(source, "://") || strings.Contains(source, "git@") {
			return badDockerfile("ADD %.128s: the Engine itself would fetch an address: put the file into the context, or fetch it in RUN", source)
		}
	}
	return nil
}

// plain refuses flags with quotes and escapes, which the Engine takes out
// before it reads them.
func plain(flags []string) error {
	for _, flag := range flags {
		if strings.ContainsAny(flag, "\"'\\`") {
			return badDockerfile("%.128s: write flags without quotes and escapes", flag)
		}
	}
	return nil
}

func isIndex(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return len(s) < 4
}

// flags are the words that begin with -- at an instruction's front.
func flags(rest string) []string {
	var all []string
	for _, word := range strings.Fields(rest) {
		if !strings.HasPrefix(word, "--") {
			break
		}
		all = append(all, word)
	}
	return all
}
