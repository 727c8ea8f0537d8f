-- The ms of an instant, which is stored as ms@offset; nil if there is none.
local function instant_ms(text)
  return text and tonumber(string.match(text, '^%d+'))
end
