-- The claim of a visitor who needs no token.
local NONE = '0'

-- Whether a claim is of another stay, place-joined_ms, than this one.
local function stranger(claim, stay)
  return claim ~= NONE and claim ~= stay
end
