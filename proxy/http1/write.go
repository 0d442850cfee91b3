package http1

import (
	"errors"
	"net/http"
	"strconv"
)

var errEnded = errors.New("http1: the answer's last chunk has been written")

func (w *response) Write(p []byte) (int, error) {
	if w.c.hijacked {
		return 0, http.ErrHijacked
	}
	if !w.begun {
		w.WriteHeader(http.StatusOK)
	}
	if w.failed != nil {
		return 0, w.failed
	}
	if w.ended {
		return 0, errEnded
	}
	if w.bodyless() {
		if w.method == http.MethodHead {
			return len(p), nil
		}
		return 0, http.ErrBodyNotAllowed
	}
	if w.length >= 0 && w.written+int64(len(p)) > w.length {
		return 0, http.ErrContentLength
	}
	w.written += int64(len(p))
	if !w.sent {
		// The head waits for the first flush, so that a short answer can say
		// its length, and whether the connection goes on: until then out holds
		// the body alone.
		if held := w.buffer(); len(held)+len(p) <= outSize {
			*w.out = append(held, p...)
			return len(p), nil
		}
		w.begin(false)
	}
	w.piece(p)
	return len(p), w.failed
}

// piece puts a part of the body, framed, behind what is held back.
func (w *response) piece(p []byte) {
	if len(p) == 0 {
		return
	}
	b := w.buffer()
	if w.chunked {
		b = append(strconv.AppendInt(b, int64(len(p)), 16), "\r\n"...)
	}
	if len(p) >= bulk {
		if *w.out = b; w.chunked {
			w.writePast(p, crlf)
		} else {
			w.writePast(p, nil)
		}
		return
	}
	b = append(b, p...)
	if w.chunked {
		b = append(b, "\r\n"...)
	}
	*w.out = b
	if len(b) >= outSize {
		w.push()
	}
}

// WriteChunks is as ChunkWriter says.
func (w *response) WriteChunks(p []byte, data int64, last bool) error {
	switch {
	case w.c.hijacked:
		return http.ErrHijacked
	case !w.begun || w.bodyless() || w.length >= 0 || w.minor == 0:
		return http.ErrNotSupported
	case w.ended:
		return errEnded
	case len(p) == 0 || w.failed != nil:
		return w.failed
	}
	if !w.sent {
		w.begin(false)
	}
	w.written += data
	if len(p) >= bulk {
		var end []byte
		if last && !hasTrailers(w.header) { // one write less, where an answer has one or two
			end, w.ended = lastChunk, true
		}
		w.writePast(p, end)
		return w.failed
	}
	if *w.out = append(w.buffer(), p...); len(*w.out) >= outSize {
		w.push()
	}
	return w.failed
}

// writePast writes p behind what is held back, without copying it there, and
// end behind both.
func (w *response) writePast(p, end []byte) {
	if w.c.tls != nil { // has no writev
		w.push()
		if w.failed == nil {
			_, err := w.c.Write(p)
			w.fail(err)
		}
		*w.out = append(w.buffer(), end...)
		return
	}
	w.fail(w.c.write(w.buffer(), p, end))
	*w.out = (*w.out)[:0]
}

func (w *response) fail(err error) {
	if err != nil && w.failed == nil {
		w.failed = err
	}
}

// push writes what is held back and gives the buffer back.
func (w *response) push() {
	if w.out == nil {
		return
	}
	if len(*w.out) > 0 && w.failed == nil {
		_, err := w.c.Write(*w.out)
		w.fail(err)
	}
	if cap(*w.out) <= 4*outSize {
		outs.Put(w.out)
	}
	w.out = nil
}
