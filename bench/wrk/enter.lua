-- Everybody who asks is new: arguments are the room, and a word that makes this run's names differ.
local room, run, count = 'bench', '', 0
local headers = {['Content-Type'] = 'application/json'}

function init(args)
  room, run = args[1], args[2]
end

function request()
  count = count + 1
  local body = '{"concertId":"' .. room .. '","userId":"' .. run .. count .. '"}'
  return wrk.format('POST', '/api/v1/queue/enter', headers, body)
end
