--[[
protect.lua: replace the protection rules, if they still have the version that the caller replaces.

KEYS
  1 protection   hash   version, document (JSON)
ARGV
  1 replaced     int    version that the caller replaces; 0 before the first rules
  2 document     str    the new rules, with the next version
RETURNS  one row
  stored   version:int
  changed  version:int

COST  O(1)
]]
local protection = KEYS[1]
local replaced = tonumber(ARGV[1])
local version = tonumber(redis.call('HGET', protection, 'version') or 0)
if version ~= replaced then return {{'changed', version}} end
redis.call('HSET', protection, 'version', string.format('%d', version + 1), 'document', ARGV[2])
return {{'stored', version + 1}}
