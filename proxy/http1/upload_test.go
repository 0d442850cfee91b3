package http1

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
)

// pieces is a body that comes as the test writes it; cut ends a read of it, as
// a deadline on the caller's connection does.
func pieces() (r *io.PipeReader, w *io.PipeWriter, cut func()) {
	r, w = io.Pipe()
	return r, w, func() { w.CloseWithError(errors.New("cut")) }
}

// TestUploadBesideItsAnswer: the answer is read while the body is under way.
func TestUploadBesideItsAnswer(t *testing.T) {
	leaves(t)
	f := newFar(t, "unix")
	go func() {
		c := f.accept(t)
		r, err := http.ReadRequest(bufio.NewReader(c))
		if err != nil {
			t.Error(err)
			return
		}
		io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		buf := make([]byte, 100)
		for {
			n, err := r.Body.Read(buf)
			if n > 0 {
				fmt.Fprintf(c, "%x\r\n%s\r\n", n, strings.ToUpper(string(buf[:n])))
			}
			if err != nil {
				break
			}
		}
		io.WriteString(c, "0\r\n\r\n")
	}()
	body, w, cut := pieces()
	a, err := f.Send(request("POST", body, -1), false, cut) // the answer begins before the body
	if err != nil {
		t.Fatal(err)
	}
	for _, piece := range []string{"a", "bc"} {
		go io.WriteString(w, piece)
		got := make([]byte, len(piece))
		if _, err := io.ReadFull(a.Response.Body, got); err != nil || string(got) != strings.ToUpper(piece) {
			t.Errorf("got %q, %v", got, err)
		}
	}
	w.Close()
	if got, err := io.ReadAll(a.Response.Body); err != nil || len(got) != 0 {
		t.Errorf("got %q, %v", got, err)
	}
	a.Close()
	if len(f.idle) != 1 {
		t.Error("the connection was not kept")
	}
}

// TestEarlyAnswer: an answer that does not wait for the body arrives whole;
// then the upload is ended and its connection closed.
func TestEarlyAnswer(t *testing.T) {
	for _, hangsUp := range []bool{false, true} {
		t.Run(fmt.Sprintf("hangs up %v", hangsUp), func(t *testing.T) {
			leaves(t)
			f := newFar(t, "unix")
			closed := make(chan struct{})
			go func() {
				defer close(closed)
				c := f.accept(t)
				head(bufio.NewReader(c))
				io.WriteString(c, "HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\nno")
				if hangsUp {
					c.Close()
					return
				}
				io.Copy(io.Discard, c)
			}()
			body, w, cut := pieces()
			fed := make(chan struct{})
			go func() {
				defer close(fed)
				for piece := make([]byte, 1<<10); ; {
					if _, err := w.Write(piece); err != nil {
						return
					}
				}
			}()
			a, err := f.Send(request("POST", body, 1<<40), false, cut)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(a.Response.Body)
			if a.StatusCode != 400 || string(got) != "no" || err != nil {
				t.Errorf("got %s %q, %v", a.Status, got, err)
			}
			a.Close()
			body.Close()
			<-closed
			<-fed
			if len(f.idle) != 0 {
				t.Error("the connection was kept")
			}
		})
	}
}

// TestCutUpload: a body that the caller breaks off does not end well for the
// Engine either, and whose fault it was is known.
func TestCutUpload(t *testing.T) {
	no := errors.New("no")
	for _, test := range []struct {
		name   string
		body   io.Reader
		length int64
		want   error
	}{
		{"chunked", io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(no)), -1, no},
		{"length", io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(no)), 10, no},
		{"shorter than its length", strings.NewReader("abc"), 10, io.ErrUnexpectedEOF},
	} {
		t.Run(test.name, func(t *testing.T) {
			leaves(t)
			f := newFar(t, "unix")
			engine := make(chan error)
			go func() {
				r, err := http.ReadRequest(bufio.NewReader(f.accept(t)))
				if err == nil {
					_, err = io.ReadAll(r.Body)
				}
				engine <- err
			}()
			_, err := f.Send(request("POST", test.body, test.length), false, nothing)
			var body *BodyError
			if !errors.As(err, &body) || !errors.Is(err, test.want) {
				t.Errorf("got %v", err)
			}
			if err := <-engine; err != io.ErrUnexpectedEOF {
				t.Errorf("the Engine sees %v", err)
			}
		})
	}
}
