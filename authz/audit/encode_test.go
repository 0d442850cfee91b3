package audit

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

// line is what a reader of the log sees, and the order of its fields.
type line struct {
	Time       time.Time `json:"time"`
	ID         string    `json:"id"`
	User       string    `json:"user,omitempty"`
	Groups     []string  `json:"groups,omitempty"`
	Evidence   string    `json:"evidence,omitempty"`
	Listener   string    `json:"listener,omitempty"`
	Remote     string    `json:"remote,omitempty"`
	Engine     string    `json:"engine,omitempty"`
	Action     string    `json:"action,omitempty"`
	Method     string    `json:"method,omitempty"`
	Path       string    `json:"path,omitempty"`
	Refs       []string  `json:"refs,omitempty"`
	Decision   string    `json:"decision"`
	Rule       string    `json:"rule,omitempty"`
	Reason     string    `json:"reason,omitempty"`
	Status     int       `json:"status"`
	DurationMS float64   `json:"duration_ms"`
	BytesIn    int64     `json:"bytes_in"`
	BytesOut   int64     `json:"bytes_out"`
	Error      string    `json:"error,omitempty"`
	Session    string    `json:"session,omitempty"`
	Event      string    `json:"event,omitempty"`
	ExitCode   *int      `json:"exit_code,omitempty"`
	Recording  string    `json:"recording,omitempty"`
}

func decode(t testing.TB, text []byte) (l line) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&l); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	return l
}

func full() *Record {
	return &Record{
		Time: time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.FixedZone("", 3600)), ID: "abc-1",
		User: "alice", Groups: []string{"staff", "docker"}, Evidence: "peer", Listener: "unix:///run/moorgate/docker.sock",
		Remote: "uid=1000 gid=1000 pid=7", Engine: "east", Action: "image.pull", Method: "POST", Path: "/v1.41/images/create",
		Refs: []string{"image:docker.io/library/ubuntu:22.04"}, Decision: Deny, Rule: "role developer, images[1]", Reason: "pin a version",
		Status: 403, Duration: 1234567 * time.Nanosecond, BytesIn: 1, BytesOut: 2, Error: "e",
	}
}

func TestEncodeGolden(t *testing.T) {
	tests := []struct {
		record *Record
		want   string
	}{
		{full(), `{"time":"2026-01-02T02:04:05.678901Z","id":"abc-1","user":"alice","groups":["staff","docker"],"evidence":"peer",` +
			`"listener":"unix:///run/moorgate/docker.sock","remote":"uid=1000 gid=1000 pid=7","engine":"east","action":"image.pull",` +
			`"method":"POST","path":"/v1.41/images/create","refs":["image:docker.io/library/ubuntu:22.04"],"decision":"deny",` +
			`"rule":"role developer, images[1]","reason":"pin a version","status":403,"duration_ms":1.234,"bytes_in":1,"bytes_out":2,"error":"e"}` + "\n"},
		{&Record{Session: "s1", Event: EventClose, ExitCode: new(int), Recording: "r1", Decision: Allow, Action: "terminal.open"},
			`{"time":"0001-01-01T00:00:00.000000Z","id":"","action":"terminal.open","decision":"allow","status":0,"duration_ms":0.000,` +
				`"bytes_in":0,"bytes_out":0,"session":"s1","event":"close","exit_code":0,"recording":"r1"}` + "\n"},
		{&Record{}, `{"time":"0001-01-01T00:00:00.000000Z","id":"","decision":"","status":0,"duration_ms":0.000,"bytes_in":0,"bytes_out":0}` + "\n"},
	}
	for _, test := range tests {
		if got := string(test.record.appendJSON(nil)); got != test.want {
			t.Errorf("got  %swant %s", got, test.want)
		}
	}
}

func TestEncodeBounds(t *testing.T) {
	long := strings.Repeat("ä", 10000)
	many := strings.Split(strings.Repeat("x ", 1000), " ")
	l := decode(t, (&Record{User: long, Path: long, Reason: long, Error: long, Method: long, Groups: many, Refs: many}).appendJSON(nil))
	for name, got := range map[string]struct{ text, most int }{
		"user": {len(l.User), maxText}, "path": {len(l.Path), maxPath}, "reason": {len(l.Reason), maxText}, "error": {len(l.Error), maxText},
		"method": {len(l.Method), maxMethod}, "groups": {len(l.Groups), maxGroups}, "refs": {len(l.Refs), maxRefs},
	} {
		if got.text > got.most || got.text < got.most-4 {
			t.Errorf("%s: %d of at most %d were kept", name, got.text, got.most)
		}
	}
	if !strings.HasSuffix(l.Path, "ä...") {
		t.Errorf("the path was cut amid a rune: %q", l.Path[len(l.Path)-6:])
	}
}

// TestEncodeHarmless holds that a line does nothing to a terminal.
func TestEncodeHarmless(t *testing.T) {
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if r > 0x3000 {
			r += 30 // what matters is below: the rest is sampled
		}
		if !utf8.ValidRune(r) {
			continue
		}
		s := string(r)
		text := appendString(nil, s, maxText)
		for _, shown := range string(text) {
			if !unicode.IsPrint(shown) {
				t.Fatalf("%U is written as %q", r, text)
			}
		}
		var back string
		if err := json.Unmarshal(text, &back); err != nil || back != s {
			t.Fatalf("%U is written as %q, read as %q: %v", r, text, back, err)
		}
	}
}

func FuzzEncode(f *testing.F) {
	f.Add("alice", "/v1.41/images/create", "pin a version", int64(0), 200)
	f.Add("\x1b[2J\x9b", "/\xff\xfe", "\u202e\u2028\"\\\x00\x7f", int64(-1), -1)
	f.Add("𝔘", "<script>&", "\ud7ff\ufffd\xed\xa0\x80", int64(1<<60), 1<<30)
	f.Fuzz(func(t *testing.T, user, path, reason string, n int64, status int) {
		rec := &Record{Time: time.Unix(n%1e9, n%1e9), ID: user, User: user, Groups: []string{user, path}, Path: path, Refs: []string{reason},
			Reason: reason, Error: reason, Decision: Decision(user), Duration: time.Duration(n), BytesIn: n, Status: status,
			Session: user, Event: Event(path), ExitCode: &status, Recording: reason}
		got := rec.appendJSON(nil)
		if bytes.IndexByte(got, '\n') != len(got)-1 || !utf8.Valid(got) {
			t.Fatalf("%q is not one line of UTF-8", got)
		}
		cutList := func(list []string) (out []string) {
			for _, s := range list {
				out = append(out, cut(s, maxText))
			}
			return out
		}
		want, err := json.Marshal(line{
			Time: rec.Time.UTC().Truncate(time.Microsecond), ID: cut(rec.ID, maxText), User: cut(rec.User, maxText), Groups: cutList(rec.Groups),
			Path: cut(rec.Path, maxPath), Refs: cutList(rec.Refs), Decision: cut(string(rec.Decision), maxText), Reason: cut(rec.Reason, maxText), Status: rec.Status,
			DurationMS: float64(max(rec.Duration, 0).Microseconds()) / 1000, BytesIn: rec.BytesIn, Error: cut(rec.Error, maxText),
			Session: cut(user, maxText), Event: cut(path, maxText), ExitCode: &status, Recording: cut(reason, maxText),
		})
		if err != nil {
			t.Fatal(err)
		}
		if g, w := decode(t, got), decode(t, want); !reflect.DeepEqual(g, w) {
			t.Errorf("got  %+v\nwant %+v", g, w)
		}
		if g, w := keys(t, got), keys(t, want); !reflect.DeepEqual(g, w) {
			t.Errorf("got the keys %v, want %v", g, w)
		}
	})
}

// keys lists an object's keys in their order.
func keys(t *testing.T, text []byte) (names []string) {
	d := json.NewDecoder(bytes.NewReader(text))
	depth, isKey := 0, true
	for {
		tok, err := d.Token()
		if err != nil {
			return names
		}
		switch v := tok.(type) {
		case json.Delim:
			if v == '[' || v == '{' {
				depth++
			} else {
				depth--
				isKey = true
			}
			continue
		case string:
			if depth == 1 && isKey {
				names = append(names, v)
				isKey = false
				continue
			}
		}
		if depth == 1 {
			isKey = true
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	rec := full()
	buf := rec.appendJSON(nil)
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		buf = rec.appendJSON(buf[:0])
	}
}

func BenchmarkEncodeStandard(b *testing.B) {
	l := decode(b, full().appendJSON(nil))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := json.Marshal(&l); err != nil {
			b.Fatal(err)
		}
	}
}

// TestTimes: times are as their format has them, in every order.
func TestTimes(t *testing.T) {
	at := time.Date(2026, 11, 21, 23, 59, 58, 999_999_999, time.FixedZone("", 3600))
	for _, d := range []time.Duration{0, time.Nanosecond, time.Second, time.Minute, time.Millisecond, -time.Hour, 24 * time.Hour, -60 * 365 * 24 * time.Hour, 0} {
		want := at.Add(d).UTC().Format(timeFormat)
		if got := string(appendTime(nil, at.Add(d))); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	for range 1000 {
		at = at.Add(617 * time.Millisecond)
		if got, want := string(appendTime(nil, at)), at.UTC().Format(timeFormat); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
