Feature: A sale, from the line to the seat
  What a visitor lives through, as one story.

  Scenario: Everything goes well
    Given a concert with the seats A-1, A-2
    When Ann enters
    Then the answer says
      | status     | WAITING |
      | isNewEntry | true    |
    And Ann becomes READY
    When Ann activates
    Then the answer says
      | status | ACTIVE |
    And Ann is offered the seats A-1, A-2
    When Ann reserves seat A-2
    Then the answer is 201
    When Ann extends
    Then the answer is 200
    When Ann pays
    Then the answer says
      | amount | 50000     |
      | status | COMPLETED |
    And Ann's reservation is CONFIRMED
    And Ann becomes NOT_FOUND
    When Ann lists the seats
    Then the call is refused with 401 Q003

  Scenario: The last seat goes
    Given a concert with the seats A-1, A-2
    And Ann is READY
    And Ben is READY
    And Cho is READY
    When Ann reserves seat A-1
    Then the answer is 201
    When Ben reserves seat A-2
    Then the answer is 201
    When Ann pays
    Then the answer is 201
    When Cho reserves seat A-1
    Then the call is refused with 409 B003
    And the message reads "This seat is already taken."
    And Cho is offered no seats
    When Ben cancels the reservation
    Then the answer is 200
    And Cho is offered the seats A-2
    When Cho reserves seat A-2
    Then the answer is 201
    When Cho pays
    Then the answer is 201
    And Ben is offered no seats

  Scenario: A slot that is freed admits the next in line
    Given a concert with the seats A-1, A-2, A-3, for 1 visitor at a time
    And Ann is READY
    And Ben is WAITING
    And Cho is WAITING
    When Ben lists the seats
    Then the call is refused with 401 Q003
    When Ann reserves seat A-1
    Then the answer is 201
    And Ben is WAITING
    When Ann pays
    Then the answer is 201
    And Ben becomes READY
    And Cho is WAITING
    And Ann is NOT_FOUND
    When Ben reserves seat A-2
    Then the answer is 201
    When Ben pays
    Then the answer is 201
    And Cho becomes READY
    And Cho is offered the seats A-3
