package terminal

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"time"
)

// PlayOptions say how a recording is played.
type PlayOptions struct {
	Speed float64       // times as fast; 0 is 1
	Idle  time.Duration // longer pauses take so long, of the recording's time; 0 for no limit
}

// maxCastLine bounds a line of a recording.
const maxCastLine = 16 << 20

// Play plays a recording, asciicast v2, on a terminal: w gets the output as it
// was, at its times, but for what would make the terminal do more than show
// it. In the end, also when ctx ends it, the terminal's modes are as they are
// after a reset. A recording that a crash cut off is played as far as it goes.
func Play(ctx context.Context, r io.Reader, w io.Writer, o PlayOptions) error {
	if o.Speed == 0 {
		o.Speed = 1
	}
	if o.Speed < 0 || math.IsNaN(o.Speed) || math.IsInf(o.Speed, 0) {
		return fmt.Errorf("speed %v cannot be: give a number above 0", o.Speed)
	}
	in := bufio.NewReaderSize(r, 64<<10)
	if err := readCastHeader(in); err != nil {
		return err
	}
	p := player{in: in, w: w, o: o}
	err := p.play(ctx)
	if p.changed() {
		if _, e := w.Write(append((&modes{}).restore(), "\r\n"...)); err == nil {
			err = e
		}
	}
	return err
}

func readCastHeader(in *bufio.Reader) error {
	line, err := readCastLine(in)
	if err != nil && (err != io.EOF || len(line) == 0) {
		return fmt.Errorf("reading the recording's header: %w", err)
	}
	var header castHeader
	if err := json.Unmarshal(line, &header); err != nil {
		return fmt.Errorf("this is no recording: the first line is no asciicast header: %w", err)
	}
	if header.Version != 2 {
		return fmt.Errorf("this recording is asciicast version %d: only version 2 can be played", header.Version)
	}
	return nil
}

// readCastLine reads a line. With io.EOF comes what there is of one.
func readCastLine(in *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		line = append(line, part...)
		if err != bufio.ErrBufferFull {
			return line, err
		}
		if len(line) > maxCastLine {
			return nil, errors.New("a line is longer than 16 MiB")
		}
	}
}

// player plays the events after the header.
type player struct {
	in     *bufio.Reader
	w      io.Writer
	o      PlayOptions
	filter castFilter
	modes  modes
	out    []byte
}

func (p *player) play(ctx context.Context) error {
	var recorded, played float64 // seconds: of the last event, and of how long it took
	began := time.Now()
	for number := 2; ; number++ {
		line, end := readCastLine(p.in)
		if end != nil && end != io.EOF {
			return end
		}
		if len(bytes.TrimSpace(line)) > 0 {
			at, code, text, err := parseCastEvent(line)
			if err != nil {
				if _, more := p.in.Peek(1); more != nil {
					return nil // the last line, cut off by a crash
				}
				return fmt.Errorf("line %d: %w", number, err)
			}
			pause := max(0, at-recorded)
			if p.o.Idle > 0 {
				pause = min(pause, p.o.Idle.Seconds())
			}
			recorded, played = max(at, recorded), played+pause/p.o.Speed
			if err := sleepUntil(ctx, began.Add(time.Duration(min(played, 1e9)*float64(time.Second)))); err != nil {
				return err
			}
			if code == string(castOutput) {
				if err := p.show([]byte(text)); err != nil {
					return err
				}
			}
		}
		if end == io.EOF {
			return nil
		}
	}
}

// show writes output.
func (p *player) show(text []byte) error {
	p.out = p.filter.filter(p.out[:0], text)
	p.modes.feed(p.out)
	_, err := p.w.Write(p.out)
	return err
}

// changed says that the terminal is not as after a reset.
func (p *player) changed() bool {
	m := p.modes
	m.escapes, m.title = escapes{}, ""
	return !bytes.Equal(m.restore(), (&modes{}).restore()) || p.modes.state != escGround
}

// parseCastEvent reads [time, code, text].
func parseCastEvent(line []byte) (at float64, code, text string, err error) {
	var event []json.RawMessage
	if err := json.Unmarshal(line, &event); err != nil {
		return 0, "", "", fmt.Errorf("no event: %w", err)
	}
	if len(event) != 3 {
		return 0, "", "", fmt.Errorf("an event has %d parts, not 3", len(event))
	}
	err = errors.Join(json.Unmarshal(event[0], &at), json.Unmarshal(event[1], &code), json.Unmarshal(event[2], &text))
	return at, code, text, err
}

func sleepUntil(ctx context.Context, at time.Time) error {
	wait := time.Until(at)
	if wait <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
