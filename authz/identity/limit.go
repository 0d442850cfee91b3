package identity

import (
	"net/netip"
	"sync"
	"time"
)

// maxLimited bounds how many keys a limiter tells apart.
const maxLimited = 8192

// limiter lets each key have burst attempts at once and one more every so
// often.
type limiter struct {
	every time.Duration
	burst int
	now   func() time.Time

	mu   sync.Mutex
	debt map[string]time.Time // when the key will have paid for all its attempts
}

func newLimiter(every time.Duration, burst int) *limiter {
	return &limiter{every: every, burst: burst, now: time.Now, debt: map[string]time.Time{}}
}

// take takes one attempt, or says how long to wait for one.
func (l *limiter) take(key string) (wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	paid, known := l.debt[key]
	if paid.Before(now) {
		paid = now
	}
	paid = paid.Add(l.every)
	if wait := paid.Sub(now) - time.Duration(l.burst)*l.every; wait > 0 {
		return wait
	}
	if !known && len(l.debt) >= maxLimited {
		l.forget(now)
	}
	l.debt[key] = paid
	return 0
}

// giveBack returns an attempt that was none.
func (l *limiter) giveBack(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	paid := l.debt[key].Add(-l.every)
	if paid.After(l.now()) {
		l.debt[key] = paid
	} else {
		delete(l.debt, key)
	}
}

// forget makes room: those who owe nothing go, or else whoever owes least, so
// that a flood of new keys does not free one that is being held back.
func (l *limiter) forget(now time.Time) {
	least := ""
	for key, paid := range l.debt {
		if !paid.After(now) {
			delete(l.debt, key)
		} else if least == "" || paid.Before(l.debt[least]) {
			least = key
		}
	}
	if len(l.debt) >= maxLimited {
		delete(l.debt, least)
	}
}

// remoteKey is what attempts from an address are counted under: the address,
// or an IPv6 host's network, since a host has all of a /64 to call from.
func remoteKey(remote string) string {
	addr, ok := parseRemote(remote)
	if !ok {
		return remote
	}
	if addr.Is6() {
		if p, err := addr.Prefix(64); err == nil {
			return p.String()
		}
	}
	return addr.String()
}

// parseRemote reads the address in "address:port" or "address".
func parseRemote(remote string) (netip.Addr, bool) {
	if ap, err := netip.ParseAddrPort(remote); err == nil {
		return ap.Addr().Unmap().WithZone(""), true
	}
	if a, err := netip.ParseAddr(remote); err == nil {
		return a.Unmap().WithZone(""), true
	}
	return netip.Addr{}, false
}
