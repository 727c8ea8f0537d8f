-- For a write that a full store may refuse. Any error other than OOM becomes the script's reply, so
-- that the caller learns that the server is a replica or cannot save.
local function refused_for_memory(reply)
  if type(reply) ~= 'table' or not reply.err then return false end
  if string.sub(reply.err, 1, 4) ~= 'OOM ' then error(reply) end
  return true
end
