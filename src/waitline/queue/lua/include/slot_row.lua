-- A row of the reply: a word, and the numbers of a slot.
local function slot_row(word, place, joined_ms, admitted_ms, extensions, expires_ms)
  return {word, tonumber(place), tonumber(joined_ms), tonumber(admitted_ms),
    tonumber(extensions), tonumber(expires_ms)}
end
