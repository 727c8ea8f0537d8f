-- Ask the gate about requests that a protection rule guards; the others pass without a call.

local waitline = require('waitline')

local GATE = 'http://127.0.0.1:8081'
local SITE_KEY = os.getenv('WAITLINE_SITE_KEY') or ''
local DEADLINE_MS = 2000
local REFRESH_S = 2

-- While the gate does not answer, visitors pass; with false they get 503.
local OPEN = true

-- Set from the gate's answer, never by clients.
local OURS = { 'x-waitline-user', 'x-waitline-room', 'x-waitline-place' }

-- Whether a field is one of these, also for sites that read X_Waitline_User as X-Waitline-User.
local function is_ours(name)
  return name:lower():find('^x%Wwaitline%W') ~= nil
end

-- Of the connection, or of the body, which the gate does not get.
local HOP = {
  host = true, connection = true, upgrade = true, expect = true,
  ['content-length'] = true, ['transfer-encoding'] = true, ['keep-alive'] = true,
}

-- The rules; until they are known, the gate is asked about every request.
local document

core.register_task(function()
  while true do
    local answer = core.httpclient():get({
      url = GATE .. '/api/v1/protection',
      headers = { ['X-Site-Key'] = { SITE_KEY } },
      timeout = DEADLINE_MS,
    })
    if answer and answer.status == 200 then
      local known, found = pcall(waitline.parse_json, answer.body)
      if known then document = found end
    end
    core.sleep(REFRESH_S)
  end
end)

-- Values of header fields, from HAProxy's lists, which begin at 0.
local function values(list)
  local found = {}
  for index = 0, #list do found[#found + 1] = list[index] end
  return found
end

local function flat(headers)
  local found = {}
  for name, list in pairs(headers) do
    found[name] = table.concat(values(list), name == 'cookie' and '; ' or ', ')
  end
  return found
end

local function ask(txn, request, query)
  local headers = {}
  for name, value in pairs(request.headers) do
    if not HOP[name] then headers[name] = { value } end
  end
  headers['x-forwarded-method'] = { request.method }
  headers['x-forwarded-proto'] = { txn.f:ssl_fc() == 1 and 'https' or 'http' }
  headers['x-forwarded-host'] = { request.host }
  headers['x-forwarded-uri'] = { request.target .. (query ~= '' and '?' .. query or '') }
  headers['x-forwarded-for'] = { txn.sf:src() }
  return core.httpclient():get({
    url = GATE .. '/api/v1/gate', headers = headers, timeout = DEADLINE_MS,
  })
end

local function passes(txn, answer)
  for _, name in ipairs(OURS) do
    local list = answer.headers[name]
    if list then txn.http:req_set_header(name, list[0]) end
  end
  local cookies = answer.headers['set-cookie']
  if cookies then txn:set_var('txn.waitline_cookie', cookies[0]) end
  if cookies and cookies[1] then txn:set_var('txn.waitline_browser', cookies[1]) end
end

local function replies(txn, answer)
  local headers = {}
  for name, list in pairs(answer.headers) do
    if not HOP[name] then headers[name] = values(list) end
  end
  txn:done(txn:reply({ status = answer.status, headers = headers, body = answer.body }))
end

core.register_action('waitline', { 'http-req' }, function(txn)
  for name in pairs(txn.http:req_get_headers()) do
    if is_ours(name) then txn.http:req_del_header(name) end
  end
  local headers = flat(txn.http:req_get_headers())
  local request = {
    method = txn.sf:method(), host = headers.host or '', target = txn.sf:path(),
    headers = headers,
  }
  local query = txn.sf:query()
  local handed_over = ('&' .. query):find('&waitline=', 1, true)
  if document and not handed_over and not waitline.guarded(document, request) then return end
  local answer = ask(txn, request, query)
  if answer and answer.status == 204 then
    passes(txn, answer)
  elseif answer and answer.status > 0 and answer.status < 500 then
    replies(txn, answer)
  elseif not OPEN then
    txn:done(txn:reply({ status = 503, headers = { ['retry-after'] = { '10' } } }))
  end
end, 0)
