-- Visitors request a page in turn: arguments are a file with a cookie on each line (`-`: none), the
-- path, and `asks` for the requests of a proxy that asks the gate about the page.
local requests, count = {}, 0

function init(args)
  local path, asks = args[2], args[3] == 'asks'
  local function add(cookie)
    local headers = {
      ['Accept'] = 'text/html,application/xhtml+xml;q=0.9,*/*;q=0.8',
      ['User-Agent'] = 'Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0',
      ['Cookie'] = cookie,
    }
    if asks then
      headers['X-Forwarded-Method'] = 'GET'
      headers['X-Forwarded-Proto'] = 'http'
      headers['X-Forwarded-Host'] = '127.0.0.1'
      headers['X-Forwarded-Uri'] = path
      headers['X-Forwarded-For'] = '192.0.2.1'
    end
    requests[#requests + 1] = wrk.format('GET', asks and '/api/v1/gate' or path, headers)
  end
  if args[1] == '-' then
    add(nil)
  else
    for cookie in io.lines(args[1]) do add(cookie) end
  end
end

function request()
  count = count % #requests + 1
  return requests[count]
end
