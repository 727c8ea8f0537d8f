Feature: Time runs out
  A slot is lent for a while. Whoever does not use it loses it to the next in line.

  Scenario: A turn that is not taken in time is over
    Given a waiting room that gives 1 second to activate
    When Ann enters
    Then Ann becomes EXPIRED

  Scenario: A visit that is not ended in time is over
    Given a waiting room
    And Ann is ACTIVE
    When Ann's time runs out
    Then Ann is EXPIRED

  Scenario: The slot goes to the next in line
    Given a waiting room for 1 visitor at a time
    And Ann is ACTIVE
    And Ben is WAITING
    When Ann's time runs out
    Then Ben becomes READY
    And Ann is EXPIRED

  Scenario: Whoever comes back is new, at the end of the line
    Given a waiting room for 1 visitor at a time
    And Ann is ACTIVE
    And Ben is WAITING
    And Cho is WAITING
    When Ann's time runs out
    Then Ben becomes READY
    When Ann enters
    Then the answer is 201
    And the answer says
      | position   | 2       |
      | status     | WAITING |
      | token      | some    |
      | isNewEntry | true    |

  Scenario: A pass that has run out opens no box office
    Given a concert with the seats A-1
    And Ann is EXPIRED
    When Ann lists the seats
    Then the call is refused with 401 Q002
