package owner

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"time"

	"moorgate/router"
)

// pullWindow is how long a pull counts.
const pullWindow = time.Hour

// reservePull counts the pulls of the last hour. One that the Engine refuses
// at once is given back.
func (j *judging) reservePull(most int) error {
	u := &j.memory.used
	now := j.Now()
	u.mu.Lock()
	u.now = j.Now
	a := u.account(j.who.User)
	a.pulls = slices.DeleteFunc(a.pulls, func(t time.Time) bool { return now.Sub(t) >= pullWindow })
	if len(a.pulls) >= most {
		// As many may go on as the quota has become smaller by.
		wait := pullWindow - now.Sub(a.pulls[len(a.pulls)-most])
		used := len(a.pulls)
		u.mu.Unlock()
		return &router.Error{Status: http.StatusTooManyRequests, RetryAfter: wait, Message: fmt.Sprintf(
			"moorgate: %s may not image.pull (owner): quota: %d of %d pulls an hour are used, 0 are left: wait %s",
			j.who.User, used, most, wait.Round(time.Second))}
	}
	a.pulls = append(a.pulls, now)
	u.mu.Unlock()
	u.note(j.ctx, j.call, &pending{user: j.who.User, kind: forPull, pulled: now})
	return nil
}

// unpull gives a pull back.
func (a *account) unpull(at time.Time) {
	if i := slices.IndexFunc(a.pulls, at.Equal); i >= 0 {
		a.pulls = slices.Delete(a.pulls, i, i+1)
	}
}

// rate holds a call against the requests that the caller may make a second. A
// second's worth may come at once.
func (j *judging) rate() error {
	if j.Quota == nil || j.Offline {
		return nil
	}
	rate := j.Quota(j.who).RequestsPerSecond
	if rate <= 0 {
		return nil
	}
	u := &j.memory.used
	now := j.Now()
	u.mu.Lock()
	defer u.mu.Unlock()
	a := u.account(j.who.User)
	burst := math.Max(rate, 1)
	if a.filled.IsZero() {
		a.tokens = burst
	} else if since := now.Sub(a.filled).Seconds(); since > 0 {
		a.tokens = math.Min(burst, a.tokens+since*rate)
	}
	a.filled = now
	if a.tokens >= 1 {
		a.tokens--
		return nil
	}
	wait := time.Duration((1 - a.tokens) / rate * float64(time.Second))
	return &router.Error{Status: http.StatusTooManyRequests, RetryAfter: wait, Message: fmt.Sprintf(
		"moorgate: %s may not %s (owner): quota: %.4g requests a second are used, 0 are left: wait %s",
		j.who.User, j.call.Action, rate, wait.Round(time.Millisecond))}
}
