-- The core agrees with the vectors that all connectors and the queue share: lua vectors_test.lua
-- VECTORS MACS, where MACS has lines `message mac` (both texts of the vectors) in place of an HMAC.

package.path = arg[0]:gsub('[^/]*$', '') .. '?.lua;' .. package.path
local waitline = require('waitline')

local function contents(name)
  local file = assert(io.open(name, 'rb'))
  local text = file:read('*a')
  file:close()
  return text
end

local vectors = waitline.parse_json(contents(arg[1]))
local checks, failures = 0, 0

local function same(found, expected, name)
  checks = checks + 1
  if found ~= expected then
    failures = failures + 1
    print(('%s: %s, expected %s'):format(name, tostring(found), tostring(expected)))
  end
end

for _, pair in ipairs(vectors.paths) do same(waitline.normal_path(pair[1]), pair[2], pair[1]) end
for _, pair in ipairs(vectors.hosts) do same(waitline.normal_host(pair[1]), pair[2], pair[1]) end

for _, row in ipairs(vectors.patterns) do
  local pattern = row.fold and row.pattern:lower() or row.pattern
  for _, text in ipairs(row.yes) do same(waitline.matches(pattern, text), true, row.pattern) end
  for _, text in ipairs(row.no) do same(waitline.matches(pattern, text), false, row.pattern) end
end

for _, row in ipairs(vectors.matches) do
  local rule = waitline.match(vectors.document, row.request)
  same(rule and rule.name, row.rule, row.request.target)
end

for _, row in ipairs(vectors.decisions) do
  -- Which requests the gate must be asked about. A pass in the address may be at any page.
  local open = row.expect.outcome == 'bypass'
  if not row.request.query:find('waitline=', 1, true) then
    same(waitline.guarded(vectors.protection, row.request), not open, row.name)
  end
end

local macs = {}
for message, mac in contents(arg[2]):gmatch('(%S+) (%x+)') do
  macs[message] = mac:gsub('%x%x', function(hex) return string.char(tonumber(hex, 16)) end)
end
local function hmac(message) return assert(macs[message], 'no MAC of ' .. message) end

for _, row in ipairs(vectors.returns.good) do
  same(waitline.sign_return(hmac, row.address, row.room, vectors.now), row.signed, row.address)
end
for _, row in ipairs(vectors.returns.tooLong) do
  same(waitline.sign_return(hmac, row.address, row.room, vectors.now), '', 'too long')
end

for _, text in ipairs({ '', '{', '[1,]', '{"a" 1}', '"a', 'nul', '1 2' }) do
  same(pcall(waitline.parse_json, text), false, 'JSON ' .. text)
end

print(('%d checks, %d failures'):format(checks, failures))
os.exit(failures == 0 and 0 or 1)
