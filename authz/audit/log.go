package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/docker/go-units"
	"go.uber.org/zap"
)

// Config says where the audit log goes.
type Config struct {
	// File that gets one JSON object a line; "-" is standard error. Only its
	// owner may read it (mode 0600), but an existing file's mode is kept.
	// Without a file there is no log.
	File string `yaml:"file"`

	// MaxSize is the size at which the file is renamed to FILE.1 and begun
	// anew, as in 100MiB, which is the default.
	MaxSize Size `yaml:"max_size"`

	// Keep is how many renamed files there may be, FILE.1 being the youngest.
	// The default is 5.
	Keep int `yaml:"keep"`
}

const (
	defaultMaxSize = 100 << 20
	minMaxSize     = 64 << 10 // less would rename all day
	defaultKeep    = 5
)

// Validate says what is wrong with the settings.
func (c Config) Validate() error {
	var faults []error
	if c.MaxSize != 0 && c.MaxSize < minMaxSize {
		faults = append(faults, fmt.Errorf("max_size: %s is too small: write %s or more", c.MaxSize, Size(minMaxSize)))
	}
	if c.Keep < 0 {
		faults = append(faults, fmt.Errorf("keep: %d files cannot be: write 1 or more", c.Keep))
	}
	return errors.Join(faults...)
}

// Size is a number of bytes, written as 100MiB or 1048576.
type Size int64

// UnmarshalText reads a size; units are powers of 1024.
func (s *Size) UnmarshalText(text []byte) error {
	n, err := units.RAMInBytes(string(text))
	if err != nil || n < 0 {
		return fmt.Errorf("%q is no size: write it as 100MiB", text)
	}
	*s = Size(n)
	return nil
}

func (s Size) String() string { return units.BytesSize(float64(s)) }

// The queue between requests and the disk.
const (
	maxQueue   = 8 << 20              // bytes that may wait; what comes then is lost
	writeAt    = 256 << 10            // so many waiting bytes are written at once
	linger     = 5 * time.Millisecond // else they wait so long for company: fewer wake-ups and writes
	keepBuffer = 1 << 20              // larger buffers are given back when a burst is over
)

// Log is the sink that writes one JSON object a line. Record never waits for
// the disk: lines queue up to a bound, beyond it they are lost, and the loss is
// counted, logged, and said in the file as soon as that can be written again.
type Log struct {
	out      output
	warn     *zap.Logger
	scratch  sync.Pool
	maxQueue int

	mu     sync.Mutex
	queue  []byte
	lost   int64 // in all
	unsaid int64 // lost and not yet said in the file
	closed bool

	wake  chan struct{} // the queue is no longer empty
	hurry chan struct{} // the queue is long, or Close wants it written
	ended chan struct{} // the writer has returned
	torn  bool          // a write failed amid a line
}

// output is where whole lines go.
type output interface {
	io.Writer // gets whole lines
	io.Closer
}

// NewLog opens the log; faults of writing are told to warn.
func NewLog(c Config, warn *zap.Logger) (*Log, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	switch c.File {
	case "":
		return nil, errors.New("file: name a file, or - for standard error")
	case "-":
		return newLog(standardError{}, warn, maxQueue), nil
	}
	if c.MaxSize == 0 {
		c.MaxSize = defaultMaxSize
	}
	if c.Keep == 0 {
		c.Keep = defaultKeep
	}
	if err := os.MkdirAll(filepath.Dir(c.File), 0o750); err != nil {
		return nil, fmt.Errorf("file: making its folder: %w", err)
	}
	f := &rotated{name: c.File, max: int64(c.MaxSize), keep: c.Keep}
	if err := f.open(0o600); err != nil {
		return nil, err
	}
	return newLog(f, warn, maxQueue), nil
}

func newLog(out output, warn *zap.Logger, maxQueue int) *Log {
	if warn == nil {
		warn = zap.NewNop()
	}
	l := &Log{
		out:      out,
		warn:     warn,
		maxQueue: maxQueue,
		wake:     make(chan struct{}, 1),
		hurry:    make(chan struct{}, 1),
		ended:    make(chan struct{}),
	}
	l.scratch.New = func() any { b := make([]byte, 0, 1024); return &b }
	go l.write()
	return l
}

// Record queues the record's line.
func (l *Log) Record(r *Record) {
	line := l.scratch.Get().(*[]byte)
	*line = r.appendJSON((*line)[:0])
	l.enqueue(*line)
	l.scratch.Put(line)
}

func (l *Log) enqueue(line []byte) {
	l.mu.Lock()
	before := len(l.queue)
	if l.closed || before+len(line) > l.maxQueue {
		l.lost++
		l.unsaid++
		first, closed := l.unsaid == 1, l.closed
		l.mu.Unlock()
		if first {
			l.warn.Warn("audit records are being lost", zap.Bool("closed", closed), zap.Int("queued_bytes", before))
		}
		return
	}
	l.queue = append(l.queue, line...)
	after := len(l.queue)
	l.mu.Unlock()
	if before == 0 {
		signal(l.wake)
	}
	if before < writeAt && after >= writeAt {
		signal(l.hurry)
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Lost is how many records could not be kept since the start.
func (l *Log) Lost() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost
}

// Close writes what is queued and closes the file. It gives up when ctx ends.
func (l *Log) Close(ctx context.Context) error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	signal(l.wake)
	signal(l.hurry)
	select {
	case <-l.ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("closing the audit log: %w", ctx.Err())
	}
}

// write is the only goroutine that touches the output. Two buffers change
// places: one fills while the other is written.
func (l *Log) write() {
	defer close(l.ended)
	defer l.out.Close()
	timer := time.NewTimer(linger)
	defer timer.Stop()
	var batch []byte
	for {
		<-l.wake
		timer.Reset(linger)
		select {
		case <-timer.C:
		case <-l.hurry:
		}
		var unsaid int64
		var closed bool
		if cap(batch) > keepBuffer && len(batch) < cap(batch)/8 {
			batch = nil // the burst is over
		}
		l.mu.Lock()
		batch, l.queue = l.queue, batch[:0]
		unsaid, l.unsaid = l.unsaid, 0
		closed = l.closed
		l.mu.Unlock()
		l.put(batch, unsaid)
		if closed {
			return
		}
	}
}

// put writes a batch and says behind it what was lost before.
func (l *Log) put(batch []byte, unsaid int64) {
	if l.torn && len(batch) > 0 {
		batch = append([]byte{'\n'}, batch...)
	}
	gone := l.try(batch)
	if unsaid += gone; unsaid > 0 {
		l.warn.Warn("audit records were lost", zap.Int64("lost", unsaid))
		if gone == 0 && l.try(appendLost(nil, unsaid)) == 0 {
			unsaid = 0
		}
	}
	l.mu.Lock()
	l.lost += gone
	l.unsaid += unsaid
	l.mu.Unlock()
}

// try writes lines and gives how many of them are not in the file.
func (l *Log) try(lines []byte) (gone int64) {
	if len(lines) == 0 {
		return 0
	}
	n, err := l.out.Write(lines)
	if n > 0 {
		l.torn = lines[n-1] != '\n'
	}
	if err != nil {
		l.warn.Error("the audit log cannot be written", zap.Error(err))
	}
	return int64(bytes.Count(lines[n:], []byte{'\n'}))
}

func appendLost(b []byte, n int64) []byte {
	b = append(b, `{"time":"`...)
	b = time.Now().UTC().AppendFormat(b, timeFormat)
	b = append(b, `","event":"lost","lost":`...)
	return append(strconv.AppendInt(b, n, 10), "}\n"...)
}

// standardError writes to standard error and leaves it open.
type standardError struct{}

func (standardError) Write(p []byte) (int, error) { return os.Stderr.Write(p) }
func (standardError) Close() error                { return nil }
