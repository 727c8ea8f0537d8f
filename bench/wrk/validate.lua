-- Admitted visitors show their tokens in turn: arguments are the room, and a file with a line
-- `visitor token` for each.
local bodies, count = {}, 0
local headers = {['Content-Type'] = 'application/json'}

function init(args)
  for line in io.lines(args[2]) do
    local visitor, token = line:match('^(%S+) (%S+)$')
    bodies[#bodies + 1] = '{"concertId":"' .. args[1] .. '","userId":"' .. visitor ..
      '","token":"' .. token .. '"}'
  end
end

function request()
  count = count % #bodies + 1
  return wrk.format('POST', '/api/v1/queue/validate', headers, bodies[count])
end
