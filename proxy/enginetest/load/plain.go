package load

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
)

// Plain serves on l the proxy that anyone would write in ten lines, to the
// Engine at the socket upstream: what others are measured by.
func Plain(l net.Listener, upstream string) error {
	proxy := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: "docker"}) },
		FlushInterval: -1, // headers of a silent stream must pass
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "unix", upstream)
			},
			MaxIdleConnsPerHost: 64, // the default of 2 would dial for most requests
			DisableCompression:  true,
		},
		ErrorLog: log.New(io.Discard, "", 0),
	}
	return (&http.Server{Handler: proxy}).Serve(l)
}
