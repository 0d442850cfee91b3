package router

// distribution asks the registry that the image's name leads to, from the
// Engine's host.
var distribution = []Route{
	{Method: "GET", Pattern: "/distribution/{name...}/json", Action: "distribution.inspect", Kind: Image, Since: "1.30"},
}
