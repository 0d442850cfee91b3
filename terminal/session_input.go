package terminal

import "net/http"

// input is what was typed and not taken yet. It is written by a goroutine that
// lasts as long as there is something: a process that reads slowly blocks
// nobody who must go on reading acknowledgements.
type input struct {
	data    []byte
	writing bool
	end     bool          // the input ends after data
	ended   bool          // and has ended
	free    chan struct{} // closed when some of it was taken; nil if nobody waits
	blocked int           // callers of send that wait
}

// Bounds of input.
const (
	maxInput   = 4 << 20
	inputPiece = 32 << 10
)

// veof is what a terminal's line discipline takes for the end of the input.
const veof = 0x04

func (s *Session) send(a *Attachment, p []byte) error {
	s.record.input(p)
	for len(p) > 0 {
		s.mu.Lock()
		if !s.live() || s.input.end {
			over := s.input.end && s.live()
			s.mu.Unlock()
			if over {
				return newError(http.StatusConflict, "", "the input has ended")
			}
			return errOver
		}
		n := min(len(p), maxInput-len(s.input.data))
		if n == 0 {
			if !s.wait(a) {
				return errOver
			}
			continue
		}
		s.input.data = append(s.input.data, p[:n]...)
		p = p[n:]
		s.bytesIn += uint64(n)
		s.touch()
		s.write()
		s.mu.Unlock()
	}
	return nil
}

// wait unlocks and waits until the process took some input, or false.
func (s *Session) wait(a *Attachment) bool {
	if s.input.free == nil {
		s.input.free = make(chan struct{})
	}
	free := s.input.free
	s.input.blocked++
	s.mu.Unlock()
	s.look()
	defer func() {
		s.mu.Lock()
		s.input.blocked--
		s.mu.Unlock()
	}()
	select {
	case <-free:
		return true
	case <-a.gone:
	case <-s.done:
	}
	return false
}

// write starts the writer if there is work and none is at it.
func (s *Session) write() {
	in := &s.input
	if s.stream != nil && !in.writing && (len(in.data) > 0 || in.end && !in.ended) {
		in.writing = true
		go s.typeIn()
	}
}

// typeIn writes what waits.
func (s *Session) typeIn() {
	for {
		s.mu.Lock()
		in := &s.input
		p := in.data[:min(len(in.data), inputPiece)]
		if in.data = in.data[len(p):]; len(in.data) == 0 {
			in.data = nil
		}
		if in.free != nil {
			close(in.free)
			in.free = nil
		}
		out := s.stream // nil after the end
		end := len(p) == 0 && in.end && !in.ended && out != nil
		if end {
			in.ended = true
		} else if len(p) == 0 || out == nil {
			in.writing = false
		}
		s.mu.Unlock()
		switch {
		case out == nil:
			return
		case end:
			out.CloseWrite() //nolint:errcheck // the reader sees what is wrong with the connection
		case len(p) == 0:
			return
		default:
			out.Write(p) //nolint:errcheck // as above
		}
	}
}

// eof ends the input.
func (s *Session) eof(a *Attachment) error {
	s.mu.Lock()
	tty, halves, live := s.place.tty, s.place.halves, s.live()
	s.mu.Unlock()
	switch {
	case !live:
		return errOver
	case tty:
		return s.send(a, []byte{veof})
	case !halves:
		return newError(http.StatusConflict, "make the container with stdin_once", "the container keeps its input open: the Engine would end the output with it")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.input.end = true
	s.touch()
	s.write()
	return nil
}
