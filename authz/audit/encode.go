package audit

import (
	"strconv"
	"sync/atomic"
	"time"
	"unicode/utf8"
)

// timeFormat has a fixed width, so that lines sort as their times do.
const timeFormat = "2006-01-02T15:04:05.000000Z"

// appendJSON appends the record as one line of JSON, its fields in the documented
// order. What is empty is left out; time, id, decision, status, duration and
// bytes are always there.
func (r *Record) appendJSON(b []byte) []byte {
	b = append(b, `{"time":"`...)
	b = appendTime(b, r.Time)
	b = append(b, `","id":`...)
	b = appendString(b, r.ID, maxText)
	b = appendField(b, `,"user":`, r.User, maxText)
	b = appendList(b, `,"groups":`, r.Groups, maxGroups)
	b = appendField(b, `,"evidence":`, r.Evidence, maxText)
	b = appendField(b, `,"listener":`, r.Listener, maxText)
	b = appendField(b, `,"remote":`, r.Remote, maxText)
	b = appendField(b, `,"engine":`, r.Engine, maxText)
	b = appendField(b, `,"action":`, r.Action, maxText)
	b = appendField(b, `,"method":`, r.Method, maxMethod)
	b = appendField(b, `,"path":`, r.Path, maxPath)
	b = appendList(b, `,"refs":`, r.Refs, maxRefs)
	b = append(b, `,"decision":`...)
	b = appendString(b, string(r.Decision), maxText)
	b = appendField(b, `,"rule":`, r.Rule, maxText)
	b = appendField(b, `,"reason":`, r.Reason, maxText)
	b = append(b, `,"status":`...)
	b = strconv.AppendInt(b, int64(r.Status), 10)
	b = append(b, `,"duration_ms":`...)
	b = appendMillis(b, r.Duration.Microseconds())
	b = append(b, `,"bytes_in":`...)
	b = strconv.AppendInt(b, r.BytesIn, 10)
	b = append(b, `,"bytes_out":`...)
	b = strconv.AppendInt(b, r.BytesOut, 10)
	b = appendField(b, `,"error":`, r.Error, maxText)
	b = appendField(b, `,"session":`, r.Session, maxText)
	b = appendField(b, `,"event":`, string(r.Event), maxText)
	if r.ExitCode != nil {
		b = strconv.AppendInt(append(b, `,"exit_code":`...), int64(*r.ExitCode), 10)
	}
	b = appendField(b, `,"recording":`, r.Recording, maxText)
	return append(b, "}\n"...)
}

// minute is a minute's part of a time as text.
type minute struct {
	unix int64 // in minutes
	text string
}

var lastMinute atomic.Pointer[minute]

// appendTime writes a time in timeFormat. Down to the minute it is as in the
// record before, nearly always, and formatting that is a fifth of what a record
// costs.
func appendTime(b []byte, t time.Time) []byte {
	unix := t.Unix()
	second := unix % 60
	m := lastMinute.Load()
	if second < 0 { // before 1970, where division rounds up
		return t.UTC().AppendFormat(b, timeFormat)
	}
	if m == nil || m.unix != unix/60 {
		m = &minute{unix / 60, t.UTC().Format("2006-01-02T15:04:")}
		lastMinute.Store(m)
	}
	b = appendDigits(append(b, m.text...), int(second), 2)
	b = appendDigits(append(b, '.'), t.Nanosecond()/1000, 6)
	return append(b, 'Z')
}

// appendDigits writes the last width decimal digits of n.
func appendDigits(b []byte, n, width int) []byte {
	b = append(b, "000000"[:width]...)
	for i := len(b) - 1; n > 0; i-- {
		b[i] += byte(n % 10)
		n /= 10
	}
	return b
}

// appendMillis writes microseconds as milliseconds with three decimals.
func appendMillis(b []byte, us int64) []byte {
	us = max(us, 0) // a clock set back is no reason for a negative time
	b = strconv.AppendInt(b, us/1000, 10)
	us %= 1000
	return append(b, '.', byte('0'+us/100), byte('0'+us/10%10), byte('0'+us%10))
}

func appendField(b []byte, name, value string, most int) []byte {
	if value == "" {
		return b
	}
	return appendString(append(b, name...), value, most)
}

func appendList(b []byte, name string, values []string, most int) []byte {
	if len(values) == 0 {
		return b
	}
	b = append(append(b, name...), '[')
	for i, v := range values[:min(len(values), most)] {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, v, maxText)
	}
	return append(b, ']')
}

// plain marks the bytes that stand for themselves in a JSON string.
var plain = func() (p [256]bool) {
	for c := ' '; c < 0x7f; c++ {
		p[c] = c != '"' && c != '\\'
	}
	return p
}()

const hexDigits = "0123456789abcdef"

// appendString writes s, cut to most bytes, as a JSON string. Whatever does not
// print is escaped, so that a line does nothing to the terminal that shows it:
// control characters of both ranges, directional marks, line separators.
func appendString(b []byte, s string, most int) []byte {
	s = cut(s, most)
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if plain[c] {
			i++
			continue
		}
		b = append(b, s[from:i]...)
		if c < utf8.RuneSelf {
			b = appendEscaped(b, c)
			i++
			from = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		i += size
		from = i
		switch {
		case r == utf8.RuneError && size == 1:
			b = append(b, `\ufffd`...)
		case strconv.IsPrint(r):
			b = append(b, s[i-size:i]...)
		case r > 0xffff:
			r -= 0x10000
			b = appendUnit(appendUnit(b, 0xd800+r>>10), 0xdc00+r&0x3ff)
		default:
			b = appendUnit(b, r)
		}
	}
	return append(append(b, s[from:]...), '"')
}

func appendEscaped(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\n':
		return append(b, '\\', 'n')
	case '\r':
		return append(b, '\\', 'r')
	case '\t':
		return append(b, '\\', 't')
	}
	return appendUnit(b, rune(c))
}

// appendUnit writes one UTF-16 unit as \uXXXX.
func appendUnit(b []byte, u rune) []byte {
	return append(b, '\\', 'u', hexDigits[u>>12&15], hexDigits[u>>8&15], hexDigits[u>>4&15], hexDigits[u&15])
}

// cut shortens s to at most most bytes, at a rune's border.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	end := most - len("...")
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "..."
}
