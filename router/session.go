package router

// Both routes turn the connection into HTTP/2: at /session the Engine is the
// client and fetches files and credentials from the caller, at /grpc it is
// the server. What they carry names images that no row can see.
var (
	session = []Route{
		{Method: "POST", Pattern: "/session", Action: "buildkit.session", Kind: Session, Reply: H2C},
	}
	grpc = []Route{
		{Method: "POST", Pattern: "/grpc", Action: "buildkit.grpc", Kind: Build, Reply: H2C},
	}
)
