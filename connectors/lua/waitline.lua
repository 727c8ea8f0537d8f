-- Protection rules, paths and signed ways back, for proxies that run Lua. Pure; Lua 5.1 and newer.
--
-- Passes are signed with Ed25519, which plain Lua cannot verify: a proxy asks the queue's gate
-- about requests that a rule guards, and passes the others on.

local waitline = {}

local RETURN_S = 24 * 3600
local ADDRESS_MAX = 2000

-- Whether a text matches a pattern, in which `*` stands for any text. No Lua pattern: with twenty
-- wildcards, backtracking could take seconds.
function waitline.matches(pattern, text)
  local parts = {}
  for part in (pattern .. '*'):gmatch('([^*]*)%*') do parts[#parts + 1] = part end
  local first, last = parts[1], parts[#parts]
  if #parts == 1 then return text == pattern end
  if #first + #last > #text then return false end
  if text:sub(1, #first) ~= first or text:sub(#text - #last + 1) ~= last then return false end
  local at, stop = #first + 1, #text - #last
  for index = 2, #parts - 1 do
    local from, to = text:find(parts[index], at, true)
    if not from or to > stop then return false end
    at = to + 1
  end
  return true
end

-- A path as rules see it: `/x/../buy/1`, `//buy/1`, `/%62uy/1` are all `/buy/1`. Escapes are
-- decoded once, as frameworks do before they route. Bytes that are no UTF-8 stay as they are.
function waitline.normal_path(target)
  local decoded = target:gsub('%%(%x%x)', function(hex) return string.char(tonumber(hex, 16)) end)
  local path = decoded:gsub('\\', '/')
  local segments, final = {}, ''
  for part in (path .. '/'):gmatch('([^/]*)/') do
    final = part
    if part == '..' then
      segments[#segments] = nil
    elseif part ~= '' and part ~= '.' then
      segments[#segments + 1] = part
    end
  end
  local open = (final == '' or final == '.' or final == '..') and #segments > 0
  return '/' .. table.concat(segments, '/') .. (open and '/' or '')
end

-- A `Host` header in lower case, without its port and a final dot.
function waitline.normal_host(host)
  local lower = host:lower():match('^%s*(.-)%s*$')
  if lower:sub(1, 1) == '[' then return lower:match('^[^%]]*') .. ']' end
  return (lower:match('^[^:]*'):gsub('%.$', ''))
end

-- The values of cookies, by name; a space before `=` is part of the name.
function waitline.cookies_of(header)
  local found = {}
  for pair in (header or ''):gmatch('[^;]+') do
    local name, value = pair:match('^%s*(.-)=%s*(.-)%s*$')
    if name then
      found[name] = found[name] or {}
      table.insert(found[name], value)
    end
  end
  return found
end

local function any(patterns, text, fold)
  if text == nil then return false end
  for _, pattern in ipairs(patterns) do
    if waitline.matches(fold and pattern:lower() or pattern, fold and text:lower() or text) then
      return true
    end
  end
  return false
end

local conditions = {
  host = function(patterns, request)
    return any(patterns, waitline.normal_host(request.host), true)
  end,
  path = function(patterns, request)
    return any(patterns, waitline.normal_path(request.target), false)
  end,
  method = function(patterns, request) return any(patterns, request.method, true) end,
  userAgent = function(patterns, request)
    return any(patterns, request.headers['user-agent'], true)
  end,
  header = function(fields, request)
    for name, patterns in pairs(fields) do
      if not any(patterns, request.headers[name:lower()], false) then return false end
    end
    return true
  end,
  cookie = function(fields, request)
    local cookies = waitline.cookies_of(request.headers.cookie)
    for name, patterns in pairs(fields) do
      local found = false
      for _, value in ipairs(cookies[name] or {}) do
        found = found or any(patterns, value, false)
      end
      if not found then return false end
    end
    return true
  end,
}

-- The first rule of a document that matches a request; nil if none does. Where a rule has a
-- condition that this version does not know, the gate must decide: the request counts as guarded.
function waitline.match(document, request)
  for _, rule in ipairs(document.rules) do
    local holds = true
    for name, patterns in pairs(rule.when or {}) do
      if not conditions[name] then return { name = rule.name, action = 'queue', room = '' } end
      -- An empty list is served for a condition that is absent.
      holds = holds and (next(patterns) == nil or conditions[name](patterns, request))
    end
    if holds then return rule end
  end
  return nil
end

-- Whether the gate must be asked about a request.
function waitline.guarded(document, request)
  if request.method == 'OPTIONS' and request.headers['access-control-request-method'] then
    return false
  end
  local rule = waitline.match(document, request)
  return rule ~= nil and rule.action == 'queue'
end

local LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

local function base64url(data)
  local out = {}
  for at = 1, #data, 3 do
    local one, two, three = data:byte(at, at + 2)
    local bits = one * 65536 + (two or 0) * 256 + (three or 0)
    for place = 0, (three and 3) or (two and 2) or 1 do
      local index = math.floor(bits / 64 ^ (3 - place)) % 64 + 1
      out[#out + 1] = LETTERS:sub(index, index)
    end
  end
  return table.concat(out)
end

local function quoted(text)
  local escaped = text:gsub('[%c"\\]', function(char)
    if char == '"' or char == '\\' then return '\\' .. char end
    return ('\\u%04x'):format(char:byte())
  end)
  return '"' .. escaped .. '"'
end

-- The value of `return=` for the waiting page; empty if the address is too long. `hmac(message)`
-- is HMAC-SHA256 with the site key, in bytes, which proxies have and plain Lua has not.
function waitline.sign_return(hmac, address, room, now_s)
  if #address > ADDRESS_MAX then address = address:match('^[^?]*') end
  if #address > ADDRESS_MAX then return '' end
  local fields = '{"u":%s,"r":%s,"e":%d}'
  local text = base64url(fields:format(quoted(address), quoted(room), now_s + RETURN_S))
  return text .. '.' .. base64url(hmac(text))
end

-- Parses JSON into tables; `null` becomes nil. Raises an error at the first byte that is not JSON.
function waitline.parse_json(text)
  local at = 1
  local value

  local function fail() error('no JSON at byte ' .. at, 0) end

  local function skip() at = text:find('%S', at) or #text + 1 end

  local function expect(char)
    skip()
    if text:sub(at, at) ~= char then fail() end
    at = at + 1
  end

  local escapes = { b = '\b', f = '\f', n = '\n', r = '\r', t = '\t' }

  local function unicode(code)
    if code < 0x80 then return string.char(code) end
    local tail = string.char(0x80 + code % 0x40)
    code = math.floor(code / 0x40)
    if code < 0x20 then return string.char(0xC0 + code) .. tail end
    tail = string.char(0x80 + code % 0x40) .. tail
    code = math.floor(code / 0x40)
    if code < 0x10 then return string.char(0xE0 + code) .. tail end
    return string.char(0xF0 + math.floor(code / 0x40), 0x80 + code % 0x40) .. tail
  end

  local function escaped()
    local char = text:sub(at, at)
    at = at + 1
    if char ~= 'u' then return escapes[char] or char end
    local code = tonumber(text:match('^%x%x%x%x', at) or fail(), 16)
    at = at + 4
    local low = code >= 0xD800 and code < 0xDC00 and text:match('^\\u([dD][c-fC-F]%x%x)', at)
    if low then
      at = at + 6
      code = 0x10000 + (code - 0xD800) * 0x400 + tonumber(low, 16) - 0xDC00
    end
    return unicode(code)
  end

  local function string_value()
    expect('"')
    local out = {}
    while true do
      local stop = text:find('["\\]', at) or fail()
      out[#out + 1] = text:sub(at, stop - 1)
      at = stop + 1
      if text:sub(stop, stop) == '"' then return table.concat(out) end
      out[#out + 1] = escaped()
    end
  end

  local function members(close, add)
    at = at + 1
    skip()
    if text:sub(at, at) == close then
      at = at + 1
      return
    end
    repeat
      add()
      skip()
      local char = text:sub(at, at)
      if char ~= ',' and char ~= close then fail() end
      at = at + 1
    until char == close
  end

  local words = { ['true'] = true, ['false'] = false }

  function value()
    skip()
    local char = text:sub(at, at)
    if char == '"' then return string_value() end
    local found = {}
    if char == '{' then
      members('}', function()
        skip()
        local name = string_value()
        expect(':')
        found[name] = value()
      end)
      return found
    end
    if char == '[' then
      local count = 0
      members(']', function()
        count = count + 1
        found[count] = value()
      end)
      return found
    end
    local word = text:match('^%a+', at)
    if word == 'null' or words[word] ~= nil then
      at = at + #word
      return words[word]
    end
    local number = text:match('^-?%d[%d%.eE+-]*', at)
    at = at + #(number or fail())
    return tonumber(number)
  end

  local found = value()
  skip()
  if at <= #text then fail() end
  return found
end

return waitline
