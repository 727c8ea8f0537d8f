-- A slot as it is stored: state|place|joined_ms|admitted_ms|extensions|expires_ms. It expires in
-- listening time; that of a lapsed visitor (L, P) has the server's time. The visitor's mark follows
-- behind a semicolon, if there is one; it is captured with the semicolon.
local SLOT = '^(%a)|(%d+)|(%d+)|(%d+)|(%d+)|(%d+)(.*)$'

-- A row of the reply: a word, and the numbers of a slot.
local function slot_row(word, place, joined_ms, admitted_ms, extensions, expires_ms)
  return {word, tonumber(place), tonumber(joined_ms), tonumber(admitted_ms),
    tonumber(extensions), tonumber(expires_ms)}
end
