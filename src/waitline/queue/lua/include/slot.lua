-- A slot as it is stored: state|place|joined_ms|admitted_ms|extensions|expires_ms. It expires in
-- listening time; that of a lapsed visitor (L, P) has the server's time. The visitor's mark follows
-- behind a semicolon, if there is one; it is captured with the semicolon.
local SLOT = '^(%a)|(%d+)|(%d+)|(%d+)|(%d+)|(%d+)(.*)$'
