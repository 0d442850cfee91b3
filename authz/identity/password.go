package identity

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
	"golang.org/x/sync/singleflight"
)

// MaxPassword bounds, in bytes, what is hashed for a caller who is not known
// yet.
const MaxPassword = 1024

const (
	// hashingMemory is what all passwords that are being checked may use at
	// once, in KiB; a hash that wants more is checked alone.
	hashingMemory = 256 << 10
	// maxHashing bounds who waits for that memory, and hashingWait how long.
	maxHashing  = 64
	hashingWait = 5 * time.Second

	// verifiedLife is how long a password that was right is not hashed again:
	// one docker command is five requests.
	verifiedLife = time.Minute
	maxVerified  = 1024

	// Wrong passwords that a user, and an address, may send at once, and how
	// often one more. A right one that was checked within verifiedLife is not
	// held back, so those who guess at alice do not stop her at work.
	userEvery, userBurst     = 10 * time.Second, 10
	remoteEvery, remoteBurst = 5 * time.Second, 20
)

var errPassword = errors.New("the user name or the password is wrong")

// Login gives the identity of the user whose password it is. remote is the
// caller's address, as http.Request has it. An error may be a *Refusal with a
// status of its own, as for one who tried too often.
func (d *Directory) Login(user, password, remote string) (*Identity, error) {
	return d.login(context.Background(), user, password, remoteKey(remote))
}

func (d *Directory) login(ctx context.Context, user, password, remote string) (*Identity, error) {
	if len(user) > maxUserName || len(password) > MaxPassword {
		return nil, fmt.Errorf("a user name has at most %d bytes, a password %d", maxUserName, MaxPassword)
	}
	if err := d.passwords.check(ctx, user, password, remote); err != nil {
		return nil, err
	}
	return &Identity{User: user, Roles: d.users[user].Roles, Method: "password", setting: d.passwords.setting(user)}, nil
}

// passwordSource knows callers by "Authorization: Basic".
type passwordSource struct{ dir *Directory }

func (*passwordSource) Name() string { return "password" }

func (*passwordSource) Ask() (how, challenge string) {
	return `send "Authorization: Basic" and the base64 of USER:PASSWORD (docker: HttpHeaders in config.json)`,
		`Basic realm="moorgate", charset="UTF-8"`
}

func (s *passwordSource) Identify(r *http.Request) (*Identity, error) {
	text, err := credentials(r.Header, "Basic")
	if text == "" || err != nil {
		return nil, err
	}
	user, password, err := parseBasic(text)
	if err != nil {
		return nil, err
	}
	return s.dir.login(r.Context(), user, password, callerKey(r))
}

func parseBasic(text string) (user, password string, err error) {
	if len(text) > base64.StdEncoding.EncodedLen(maxUserName+1+MaxPassword) {
		return "", "", errors.New("the Basic credential is too long")
	}
	pair, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return "", "", errors.New("the Basic credential is not base64: send that of USER:PASSWORD")
	}
	for _, c := range pair {
		if c < ' ' || c == 0x7f {
			return "", "", errors.New("the Basic credential holds a control character: encode it without a line break (printf '%s' USER:PASSWORD | base64 -w0)")
		}
	}
	user, password, ok := strings.Cut(string(pair), ":")
	if !ok {
		return "", "", errors.New("the Basic credential has no colon: send the base64 of USER:PASSWORD")
	}
	return user, password, nil
}

// callerKey is what a request's attempts are counted under: on a unix socket,
// where there is no address, the uid.
func callerKey(r *http.Request) string {
	if e, _ := r.Context().Value(peerKey{}).(*peerEvidence); e != nil {
		return fmt.Sprintf("uid %d", e.peer.UID)
	}
	return remoteKey(r.RemoteAddr)
}

// passwords checks passwords at a bounded cost.
type passwords struct {
	hashes  map[string]*argonHash // by user
	dummies []*argonHash          // what strangers' passwords are checked against
	matches func(*argonHash, string) bool
	now     func() time.Time

	users, remotes *limiter
	memory         *semaphore.Weighted
	hashing        atomic.Int64 // who has memory or waits for it
	flights        singleflight.Group

	key      [32]byte // of this process alone: what is kept tells nothing without it
	mu       sync.Mutex
	verified map[digest]time.Time // until when
}

type digest [sha256.Size]byte

func newPasswords() *passwords {
	p := &passwords{
		hashes:   map[string]*argonHash{},
		matches:  (*argonHash).matches,
		now:      time.Now,
		users:    newLimiter(userEvery, userBurst),
		remotes:  newLimiter(remoteEvery, remoteBurst),
		memory:   semaphore.NewWeighted(hashingMemory),
		verified: map[digest]time.Time{},
	}
	_, _ = rand.Read(p.key[:]) // never fails
	return p
}

// setting is what stands for the user's hash in an Identity; zero for none.
func (p *passwords) setting(user string) [32]byte {
	h := p.hashes[user]
	if h == nil {
		return [32]byte{}
	}
	return sha256.Sum256([]byte(h.String()))
}

// add takes in a user's hash, and a dummy that costs the same to check.
func (p *passwords) add(user string, h *argonHash) {
	p.hashes[user] = h
	same := func(d *argonHash) bool {
		return d.memory == h.memory && d.time == h.time && d.threads == h.threads && len(d.salt) == len(h.salt) && len(d.sum) == len(h.sum)
	}
	if !slices.ContainsFunc(p.dummies, same) {
		dummy := *h
		dummy.salt, dummy.sum = make([]byte, len(h.salt)), make([]byte, len(h.sum))
		_, _ = rand.Read(dummy.sum)
		p.dummies = append(p.dummies, &dummy)
	}
}

// dummy is the hash that stands in for a stranger's. Each stranger always
// costs what one of the users does: time does not tell who is a user.
func (p *passwords) dummy(user string) *argonHash {
	if len(p.dummies) == 0 {
		return &argonHash{memory: newArgon.memory, time: newArgon.time, threads: newArgon.threads, salt: make([]byte, 16), sum: make([]byte, 32)}
	}
	d := p.seal(user, "")
	return p.dummies[binary.BigEndian.Uint64(d[:8])%uint64(len(p.dummies))]
}

// seal gives what stands for a user and a password in memory.
func (p *passwords) seal(user, password string) (d digest) {
	mac := hmac.New(sha256.New, p.key[:])
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(len(user))))
	mac.Write([]byte(user))
	mac.Write([]byte(password))
	mac.Sum(d[:0])
	return d
}

// check gives nil if it is the user's password.
func (p *passwords) check(ctx context.Context, user, password, remote string) error {
	d := p.seal(user, password)
	if p.wasRight(d) {
		return nil
	}
	// Requests that come at the same time with the same credential are one
	// attempt.
	result := p.flights.DoChan(string(d[:]), func() (any, error) {
		return nil, p.verify(user, password, remote, d)
	})
	select {
	case r := <-result:
		return r.Err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (p *passwords) verify(user, password, remote string, d digest) error {
	if p.wasRight(d) { // by the flight that has just ended
		return nil
	}
	if wait := p.users.take(user); wait > 0 {
		return tooOften(wait)
	}
	if wait := p.remotes.take(remote); wait > 0 {
		p.users.giveBack(user)
		return tooOften(wait)
	}
	right, err := p.hash(user, password)
	if err == nil && !right {
		return errPassword // the attempt is spent
	}
	p.users.giveBack(user)
	p.remotes.giveBack(remote)
	if err == nil {
		p.keep(d)
	}
	return err
}

// hash compares when there is memory for it.
func (p *passwords) hash(user, password string) (right bool, err error) {
	h, known := p.hashes[user]
	if !known {
		h = p.dummy(user)
	}
	busy := &Refusal{Status: http.StatusServiceUnavailable, RetryAfter: time.Second,
		Message: "too many passwords are being checked: try again in a second"}
	defer p.hashing.Add(-1)
	if p.hashing.Add(1) > maxHashing {
		return false, busy
	}
	ctx, cancel := context.WithTimeout(context.Background(), hashingWait)
	defer cancel()
	need := min(int64(h.memory), hashingMemory)
	if p.memory.Acquire(ctx, need) != nil {
		return false, busy
	}
	defer p.memory.Release(need)
	return p.matches(h, password) && known, nil
}

func tooOften(wait time.Duration) error {
	wait = time.Duration(math.Ceil(wait.Seconds())) * time.Second
	return &Refusal{Status: http.StatusTooManyRequests, RetryAfter: wait,
		Message: fmt.Sprintf("too many wrong passwords: try again in %s", wait)}
}

func (p *passwords) wasRight(d digest) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	until, ok := p.verified[d]
	return ok && p.now().Before(until)
}

func (p *passwords) keep(d digest) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	if len(p.verified) >= maxVerified {
		for old, until := range p.verified {
			if !now.Before(until) {
				delete(p.verified, old)
			}
		}
		if len(p.verified) >= maxVerified {
			clear(p.verified)
		}
	}
	p.verified[d] = now.Add(verifiedLife)
}
