-- Visitors that wait ask in turn: arguments are the room, the names' first part, and how many.
local room, run, most, count = 'bench', '', 1, 0

function init(args)
  room, run, most = args[1], args[2], tonumber(args[3])
end

function request()
  -- A stride that shares no factor with the number visits all of them, far apart.
  count = (count + 7919) % most
  local path = '/api/v1/queue/status?concertId=' .. room .. '&userId=' .. run .. (count + 1)
  return wrk.format('GET', path)
end
