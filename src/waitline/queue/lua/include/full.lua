-- A write that a full store may refuse. Whatever else an error says is not about memory: it is the
-- script's reply, so that the caller learns that the server is a replica or cannot save.
local function refused_for_memory(reply)
  if type(reply) ~= 'table' or not reply.err then return false end
  if string.sub(reply.err, 1, 4) ~= 'OOM ' then error(reply) end
  return true
end
