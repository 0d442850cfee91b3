package identity

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// cheapHash hashes at a cost that tests can pay often.
func cheapHash(password string) string {
	h := argonHash{memory: 64, time: 1, threads: 1, salt: []byte("salt of tests")}
	h.sum = h.derive(password, 32)
	return h.String()
}

func basic(pair string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(pair)) }

func withHeader(name string, values ...string) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header[name] = values
	return r
}

func TestPassword(t *testing.T) {
	d := directory(t, map[string]User{
		"alice": {Password: cheapHash("wonder:land"), Roles: []string{"developer"}},
		"bob":   {Password: cheapHash("b"), Tokens: []string{sumOf("b")}},
		"carol": {},
	}, nil)
	d.passwords.users, d.passwords.remotes = newLimiter(time.Second, 1000), newLimiter(time.Second, 1000)
	source := &passwordSource{d}
	tests := []struct {
		name    string
		headers []string
		want    string
	}{
		{"none", nil, ""},
		{"right", []string{basic("alice:wonder:land")}, "alice"},
		{"again", []string{basic("alice:wonder:land")}, "alice"},
		{"scheme in any case", []string{"bAsIc " + basic("bob:b")[6:]}, "bob"},
		{"wrong", []string{basic("alice:wonder")}, "!the user name or the password is wrong"},
		{"another's", []string{basic("alice:b")}, "!the user name"},
		{"colon moved", []string{basic("alice:wonder:lan:d")}, "!the user name"},
		{"empty", []string{basic("alice:")}, "!the user name"},
		{"stranger", []string{basic("eve:wonder:land")}, "!the user name"},
		{"a user without one", []string{basic("carol:")}, "!the user name"},
		{"nobody", []string{basic(":")}, "!the user name"},
		{"upper case", []string{basic("ALICE:wonder:land")}, "!the user name"},
		{"the hash itself", []string{basic("bob:" + cheapHash("b"))}, "!the user name"},
		{"two headers", []string{basic("alice:wonder:land"), basic("alice:wonder:land")}, "!there are two"},
		{"two of different sort", []string{basic("alice:wonder:land"), "Bearer b"}, "!there are two"},
		{"bearer is another's", []string{"Bearer b"}, ""},
		{"no scheme", []string{basic("alice:wonder:land")[6:]}, ""},
		{"scheme alone", []string{"Basic"}, "!the Authorization header is malformed"},
		{"joined", []string{basic("alice:wonder:land") + ", " + basic("bob:b")}, "!the Authorization header is malformed"},
		{"no base64", []string{"Basic alice:b"}, "!the Basic credential is not base64"},
		{"base64 of URLs", []string{"Basic YTo_Pj8-"}, "!the Basic credential is not base64"},
		{"bits left over", []string{"Basic Ym9iOmJ="}, "!the Basic credential is not base64"},
		{"no colon", []string{basic("alice")}, "!the Basic credential has no colon"},
		{"line break, as echo makes it", []string{basic("bob:b\n")}, "!the Basic credential holds a control character"},
		{"zero byte", []string{basic("bob\x00:b")}, "!the Basic credential holds a control character"},
		{"huge", []string{basic("alice:" + strings.Repeat("x", 2000))}, "!the Basic credential is too long"},
		{"long password", []string{basic("alice:" + strings.Repeat("x", MaxPassword+1))}, "!a user name has at most 128"},
		{"long user", []string{basic(strings.Repeat("x", maxUserName+1) + ":x")}, "!a user name has at most 128"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := withHeader("Authorization", test.headers...)
			r.URL.RawQuery = "user=alice&password=wonder:land"
			check(t, source, r, test.want)
		})
	}
	id, err := source.Identify(withHeader("Authorization", basic("alice:wonder:land")))
	if err != nil || !slices.Equal(id.Roles, []string{"developer"}) {
		t.Errorf("got %+v, %v", id, err)
	}
}

func TestPasswordFaults(t *testing.T) {
	_, err := NewDirectory(map[string]User{"alice": {Password: strings.Replace(hashOfPassword, "m=256", "m=4000000", 1)}}, nil)
	if err == nil || !strings.HasPrefix(err.Error(), `users.alice.password: "m=4000000" is more than`) || !strings.Contains(err.Error(), "`moorgate password`") {
		t.Errorf("got %v", err)
	}
}

// counted makes a directory count what it hashes; hook is called meanwhile.
func counted(d *Directory, hook func(h *argonHash)) *atomic.Int64 {
	var n atomic.Int64
	matches := d.passwords.matches
	d.passwords.matches = func(h *argonHash, password string) bool {
		n.Add(1)
		if hook != nil {
			hook(h)
		}
		return matches(h, password)
	}
	return &n
}

func TestVerifiedPasswordIsRemembered(t *testing.T) {
	d := directory(t, map[string]User{"alice": {Password: cheapHash("a")}, "bob": {Password: cheapHash("a")}}, nil)
	now := time.Now()
	d.passwords.now = func() time.Time { return now }
	hashed := counted(d, nil)
	for range 5 { // as one docker command does
		check(t, &passwordSource{d}, withHeader("Authorization", basic("alice:a")), "alice")
	}
	if hashed.Load() != 1 {
		t.Errorf("five requests were hashed %d times", hashed.Load())
	}
	check(t, &passwordSource{d}, withHeader("Authorization", basic("alice:b")), "!the user name")
	check(t, &passwordSource{d}, withHeader("Authorization", basic("bob:a")), "bob")
	check(t, &passwordSource{d}, withHeader("Authorization", basic("alic:ea")), "!the user name")
	if hashed.Load() != 4 {
		t.Errorf("hashed %d times: another password and another user are other credentials", hashed.Load())
	}
	now = now.Add(verifiedLife)
	check(t, &passwordSource{d}, withHeader("Authorization", basic("alice:a")), "alice")
	if hashed.Load() != 5 {
		t.Error("the password is believed for longer than it should be")
	}

	// What is remembered is this directory's: after a reload it is gone.
	other := directory(t, map[string]User{"alice": {Password: cheapHash("changed")}}, nil)
	check(t, &passwordSource{other}, withHeader("Authorization", basic("alice:a")), "!the user name")
	if d.passwords.seal("alice", "a") == other.passwords.seal("alice", "a") {
		t.Error("two directories seal with the same key")
	}
	for i := range maxVerified + 10 {
		d.passwords.keep(d.passwords.seal("alice", fmt.Sprint(i)))
	}
	if n := len(d.passwords.verified); n > maxVerified {
		t.Errorf("%d credentials are kept", n)
	}
}

func TestStrangersCostTheSame(t *testing.T) {
	dear := strings.Replace(cheapHash("b"), "m=64,", "m=128,", 1)
	d := directory(t, map[string]User{"alice": {Password: cheapHash("a")}, "bob": {Password: dear}}, nil)
	var costs []uint32
	counted(d, func(h *argonHash) { costs = append(costs, h.memory) })
	cost := func(user string) uint32 {
		costs = nil
		if _, err := d.Login(user, "guess", "10.0.0.1:5"); !errors.Is(err, errPassword) {
			t.Fatalf("%s: %v", user, err)
		}
		if len(costs) != 1 {
			t.Fatalf("%s was hashed %d times", user, len(costs))
		}
		return costs[0]
	}
	d.passwords.remotes = newLimiter(time.Second, 1000)
	seen := map[uint32]bool{}
	for i := range 20 {
		name := fmt.Sprint("stranger", i)
		c := cost(name)
		seen[c] = true
		d.passwords.verified = map[digest]time.Time{}
		if again := cost(name); again != c {
			t.Errorf("%s cost %d, then %d", name, c, again)
		}
	}
	if len(seen) != 2 || !seen[64] || !seen[128] {
		t.Errorf("strangers cost %v, users 64 and 128", seen)
	}

	nobody := directory(t, nil, nil)
	counted(nobody, func(h *argonHash) { costs = append(costs, h.memory) })
	nobody.passwords.matches = func(h *argonHash, _ string) bool { costs = []uint32{h.memory}; return true }
	if _, err := nobody.Login("eve", "guess", ""); !errors.Is(err, errPassword) {
		t.Errorf("a stranger whose dummy matched got %v", err)
	}
	if costs[0] != newArgon.memory {
		t.Error("without users strangers are told at once")
	}
}

func TestPasswordRateLimit(t *testing.T) {
	d := directory(t, map[string]User{"alice": {Password: cheapHash("a")}, "bob": {Password: cheapHash("b")}}, nil)
	now := time.Now()
	d.passwords.users.now = func() time.Time { return now }
	d.passwords.remotes.now = d.passwords.users.now
	limited := func(user, password, remote string) *Refusal {
		_, err := d.Login(user, password, remote)
		var no *Refusal
		errors.As(err, &no)
		return no
	}
	for i := range userBurst {
		if no := limited("alice", fmt.Sprint("guess", i), fmt.Sprintf("10.0.0.%d:1", i)); no != nil {
			t.Fatalf("guess %d: %v", i, no)
		}
	}
	no := limited("alice", "guess", "10.0.1.1:1")
	if no == nil || no.Status != 429 || no.RetryAfter != userEvery || no.Message != "too many wrong passwords: try again in 10s" {
		t.Fatalf("got %+v", no)
	}
	if no := limited("alice", "a", "10.0.1.1:1"); no == nil {
		t.Error("a right password is told from a wrong one while both must wait")
	}
	if _, err := d.Login("bob", "b", "10.0.0.1:1"); err != nil {
		t.Errorf("bob is held back for alice: %v", err)
	}
	now = now.Add(userEvery)
	if _, err := d.Login("alice", "a", "10.0.1.1:1"); err != nil {
		t.Errorf("after the wait: %v", err)
	}
	for i := range userBurst { // she is at work: others' guesses do not stop her
		limited("alice", fmt.Sprint("more", i), fmt.Sprintf("10.0.2.%d:1", i))
	}
	if _, err := d.Login("alice", "a", "10.0.3.1:1"); err != nil {
		t.Errorf("guesses lock out whoever is at work: %v", err)
	}

	for i := range remoteBurst {
		if no := limited(fmt.Sprint("user", i), "guess", "10.9.9.9:"+fmt.Sprint(i)); no != nil {
			t.Fatalf("guess %d of the address: %v", i, no)
		}
	}
	if no := limited("another", "guess", "10.9.9.9:77"); no == nil || no.RetryAfter != remoteEvery {
		t.Errorf("an address may guess on, at many users: %+v", no)
	}
	if no := limited("bob", "b2", "10.9.9.10:77"); no != nil {
		t.Errorf("another address waits: %v", no)
	}

	// Right passwords are never counted.
	for i := range 3 * remoteBurst {
		clear(d.passwords.verified)
		if _, err := d.Login("bob", "b", "10.4.4.4:1"); err != nil {
			t.Fatalf("right password %d: %v", i, err)
		}
	}
}

func TestPasswordRateLimitOverHTTP(t *testing.T) {
	d := directory(t, map[string]User{"alice": {Password: cheapHash("a")}}, nil)
	h := Require([]Source{&passwordSource{d}}, failPlain)(http.NotFoundHandler())
	for i := range userBurst + 1 {
		w := httptest.NewRecorder()
		r := withHeader("Authorization", basic(fmt.Sprint("alice:", i)))
		h.ServeHTTP(w, r)
		switch {
		case i < userBurst:
			if w.Code != 401 || w.Header().Get("Retry-After") != "" || !strings.HasPrefix(w.Header().Get("WWW-Authenticate"), "Basic ") {
				t.Fatalf("guess %d: %d %v", i, w.Code, w.Header())
			}
		case w.Code != 429 || w.Header().Get("Retry-After") != "10" || w.Header().Get("WWW-Authenticate") != "" ||
			!strings.HasPrefix(w.Body.String(), "moorgate: password: too many wrong passwords"):
			t.Errorf("got %d %v %s", w.Code, w.Header(), w.Body)
		}
	}
	// Unix sockets have no address: there the uid is counted.
	r := withHeader("Authorization", basic("alice:x"))
	if got := callerKey(r.WithContext(WithPeer(r.Context(), Peer{UID: 7}))); got != "uid 7" {
		t.Errorf("attempts are counted under %q", got)
	}
}

func TestBrowsersAreNotChallenged(t *testing.T) {
	d := directory(t, nil, nil)
	h := Require([]Source{&passwordSource{d}, &tokenSource{dir: d}}, failPlain)(http.NotFoundHandler())
	for name, want := range map[string]int{"Accept": 2, "Origin": 1, "Sec-Fetch-Mode": 1} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, withHeader(name, "x"))
		if got := w.Header().Values("WWW-Authenticate"); len(got) != want || got[len(got)-1] != "Bearer" {
			t.Errorf("with %s: %q", name, got)
		}
	}
}

func TestHashingIsBounded(t *testing.T) {
	d := directory(t, map[string]User{"alice": {Password: cheapHash("a")}}, nil)
	p := d.passwords
	p.users, p.remotes = newLimiter(time.Second, 1000), newLimiter(time.Second, 1000)
	var now, most atomic.Int64
	p.hashes["alice"].memory = hashingMemory / 3
	p.matches = func(h *argonHash, password string) bool {
		n := now.Add(1)
		defer now.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		time.Sleep(time.Millisecond)
		return password == "a"
	}
	var all sync.WaitGroup
	var busy atomic.Int64
	for i := range 2 * maxHashing {
		all.Go(func() {
			_, err := d.Login("alice", fmt.Sprint(i), "")
			var no *Refusal
			if errors.As(err, &no) && no.Status == 503 && no.RetryAfter > 0 {
				busy.Add(1)
			} else if !errors.Is(err, errPassword) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if most.Load() > 3 {
		t.Errorf("%d were hashed at once, where there is memory for 3", most.Load())
	}
	if p.hashing.Load() != 0 {
		t.Errorf("%d are still hashing", p.hashing.Load())
	}
	t.Logf("%d of %d were told to come back", busy.Load(), 2*maxHashing)

	p.hashes["alice"].memory = maxArgonMemory // more than there is for all: alone, but it must get through
	if _, err := d.Login("alice", "a", ""); err != nil {
		t.Errorf("the dearest hash: %v", err)
	}
}

func TestSameCredentialAtOnceIsOneAttempt(t *testing.T) {
	d := directory(t, map[string]User{"alice": {Password: cheapHash("a")}}, nil)
	hashed := counted(d, func(*argonHash) { time.Sleep(20 * time.Millisecond) })
	var all sync.WaitGroup
	for range 5 * userBurst {
		all.Go(func() {
			if _, err := d.Login("alice", "a", "10.0.0.1:1"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := hashed.Load(); n != 1 {
		t.Errorf("hashed %d times", n)
	}
}

func BenchmarkPassword(b *testing.B) {
	d := directory(b, map[string]User{"alice": {Password: HashPassword("a"), Roles: []string{"developer"}}}, nil)
	source, r := &passwordSource{d}, withHeader("Authorization", basic("alice:a"))
	for _, remembered := range []bool{true, false} {
		b.Run(fmt.Sprintf("remembered=%v", remembered), func(b *testing.B) {
			if id, err := source.Identify(r); id == nil || err != nil {
				b.Fatal(id, err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if !remembered {
					clear(d.passwords.verified)
				}
				if id, err := source.Identify(r); id == nil || err != nil {
					b.Fatal(id, err)
				}
			}
		})
	}
}
